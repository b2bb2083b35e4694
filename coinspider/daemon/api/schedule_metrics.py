"""What ``/metrics`` tells of the schedules of this scrapyd: what an alert needs to know."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from coinspider.daemon.alerts.health import missed_runs
from coinspider.daemon.alerts.schedule_runs import ScheduleRuns
from coinspider.daemon.schedules.schedule import Schedule

ENABLED = "coinspider_schedule_enabled"
FAILURES = "coinspider_schedule_failures"
MISSED = "coinspider_schedule_missed_runs"
NAMES = (ENABLED, FAILURES, MISSED)
LABELS = ("schedule",)


class WatchedSchedule(NamedTuple):
    """A schedule, and whether it runs: it may be paused."""

    schedule: Schedule
    enabled: bool = True


class ScheduleCollector(Collector):
    """Of one that does not run there is no more to say than that."""

    def __init__(self, watched: Iterable[WatchedSchedule], runs: Mapping[str, ScheduleRuns]):
        self.watched, self.runs = list(watched), runs

    def collect(self) -> Iterable[Family]:
        enabled = GaugeMetricFamily(ENABLED, "Whether it runs at its times", labels=LABELS)
        failures = GaugeMetricFamily(
            FAILURES, "Runs that failed since the last complete one", labels=LABELS
        )
        missed = GaugeMetricFamily(
            MISSED, "Times it was due since the last complete crawl of its data", labels=LABELS
        )
        now = datetime.now(UTC)
        for schedule, is_enabled in self.watched:
            labels, found = [schedule.name], self.runs.get(schedule.name, ScheduleRuns())
            enabled.add_metric(labels, is_enabled)
            if not is_enabled:
                continue
            failures.add_metric(labels, found.failures)
            if found.last_success:
                missed.add_metric(labels, missed_runs(schedule, found.last_success, now))
        yield from (enabled, failures, missed)
