"""spidermon's own monitors, combined as a user would do it."""

from spidermon import MonitorSuite
from spidermon.contrib.scrapy.monitors import FinishReasonMonitor, ItemCountMonitor


class CloseSuite(MonitorSuite):
    monitors = [ItemCountMonitor, FinishReasonMonitor]  # noqa: RUF012
