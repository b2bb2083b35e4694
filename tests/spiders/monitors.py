"""Monitors of spidermon's own, as a user puts them together."""

from spidermon import MonitorSuite
from spidermon.contrib.scrapy.monitors import FinishReasonMonitor, ItemCountMonitor


class CloseSuite(MonitorSuite):
    monitors = [ItemCountMonitor, FinishReasonMonitor]  # noqa: RUF012
