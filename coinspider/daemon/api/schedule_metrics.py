"""The part of ``/metrics`` about this scrapyd's schedules, for alerts."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from coinspider.daemon.alerts.rules import ScheduleRuns, missed_runs
from coinspider.daemon.schedules.forecast import Forecast
from coinspider.daemon.schedules.schedule import Schedule

ENABLED = "coinspider_schedule_enabled"
FAILURES = "coinspider_schedule_failures"
MISSED = "coinspider_schedule_missed_runs"
NEEDED = "coinspider_schedule_needed_calls"
USED_UP = "coinspider_schedule_used_up_timestamp_seconds"
NAMES = (ENABLED, FAILURES, MISSED, NEEDED, USED_UP)
LABELS = ("schedule",)


class WatchedSchedule(NamedTuple):
    """A schedule, whether it is active, and the calls that it needs in a month."""

    schedule: Schedule
    enabled: bool = True
    forecast: Forecast | None = None


class ScheduleCollector(Collector):
    """There is nothing else to say about an inactive one."""

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
        needed = GaugeMetricFamily(
            NEEDED, "Calls that it needs in a month at its fixed times", labels=LABELS
        )
        used_up = GaugeMetricFamily(
            USED_UP, "When its key's credits of this month do not last: their end", labels=LABELS
        )
        now = datetime.now(UTC)
        for schedule, is_enabled, forecast in self.watched:
            labels, found = [schedule.name], self.runs.get(schedule.name, ScheduleRuns())
            enabled.add_metric(labels, is_enabled)
            if not is_enabled:
                continue
            failures.add_metric(labels, found.failures)
            if found.last_success:
                missed.add_metric(labels, missed_runs(schedule, found.last_success, now))
            if forecast:
                needed.add_metric(labels, forecast.needed)
                if end := forecast.used_up_at(now):
                    used_up.add_metric(labels, end.timestamp())
        yield from (enabled, failures, missed, needed, used_up)
