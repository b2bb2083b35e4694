"""``/metrics``: the crawls of each source, for Prometheus."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.alerts.rules import read_runs
from coinspider.daemon.api import schedule_metrics, usage_metrics
from coinspider.daemon.api.failed_job_metrics import DATABASE_UP, NAMES, FailedJobCollector
from coinspider.daemon.api.metric_groups import COUNTER, GAUGE, GROUPS, MetricGroup
from coinspider.daemon.api.schedule_metrics import ScheduleCollector, WatchedSchedule
from coinspider.daemon.api.usage_metrics import UsageCollector
from coinspider.daemon.database import figure_workers, query
from coinspider.daemon.failed_jobs import FailedJobs
from coinspider.daemon.schedules.service import schedule_service, service_named
from coinspider.errors import DatabaseUnreachableError

log = Logger()
_FAMILIES = {GAUGE: GaugeMetricFamily, COUNTER: CounterMetricFamily}


def metric_names() -> list[str]:
    """The names of all metrics, as Prometheus reads them."""
    crawls = [group.full_name(metric) for group in GROUPS for metric in group.metrics]
    return [*crawls, *usage_metrics.NAMES, *NAMES, *schedule_metrics.NAMES]


def metric_labels() -> dict[str, tuple[str, ...]]:
    """The labels of each metric, by its name."""
    crawls = {group.full_name(m): group.labels for group in GROUPS for m in group.metrics}
    failed = {name: () if name == DATABASE_UP else ("spider",) for name in NAMES}
    usage = dict.fromkeys(usage_metrics.NAMES, usage_metrics.LABELS)
    schedules = dict.fromkeys(schedule_metrics.NAMES, schedule_metrics.LABELS)
    return crawls | usage | failed | schedules


class CrawlCollector(Collector):
    """Reads the figures from the database on each request."""

    def __init__(self, schedules: Iterable[str], in_fleet: bool):
        self.values = {"schedules": list(schedules), "in_fleet": in_fleet}

    def collect(self) -> Iterable[Family]:
        for group in GROUPS:
            yield from _families(group, query(group.sql, self.values))


def _families(group: MetricGroup, rows: list[dict[str, Any]]) -> Iterable[Family]:
    for metric in group.metrics:
        name = group.full_name(metric)
        family = _FAMILIES[metric.kind](name, metric.help, labels=group.labels)
        for row in rows:
            if row[metric.name] is not None:
                family.add_metric([row[label] for label in group.labels], float(row[metric.name]))
        yield family


def metrics(
    schedules: Iterable[str],
    failed_jobs: FailedJobs | None = None,
    watched: Sequence[WatchedSchedule] = (),
    in_fleet: bool = False,
) -> bytes:
    """The figures in Prometheus' text format; a crawl that never succeeded has no age.

    If the database does not answer, only those that scrapyd keeps itself.
    """
    try:
        crawls = _text(CrawlCollector(schedules, in_fleet)) + _text(UsageCollector())
        failed = failed_jobs.without_row() if failed_jobs else []
        runs = read_runs([one.schedule for one in watched], failed)
        told = crawls + _text(ScheduleCollector(watched, runs))
        return told + _text(FailedJobCollector(failed, database_up=True))
    except (psycopg.Error, DatabaseUnreachableError):
        failed = failed_jobs.newest() if failed_jobs else []
        return _text(FailedJobCollector(failed, database_up=False))


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


class Metrics(Resource):
    """``GET``."""

    isLeaf = True

    def __init__(self, root: Any):
        super().__init__()
        self.root = root

    def render_GET(self, txrequest: Any) -> int:
        service = schedule_service(self.root.app)
        watched = [
            WatchedSchedule(schedule, service.runs(schedule), service.forecasts.of(schedule))
            for schedule in service.schedules.values()
        ]
        failed_jobs = service_named("launcher", self.root.app).failed_jobs
        asked = metrics, list(service.schedules), failed_jobs, watched, service.states.shared
        figure_workers().run("metrics", *asked).addBoth(self._send, txrequest)
        return NOT_DONE_YET

    def _send(self, result: Any, txrequest: Any) -> None:
        if not txrequest.channel:  # the client has not waited
            return
        if isinstance(result, Failure):
            log.failure("The metrics can't be made", failure=result)
            txrequest.setResponseCode(500)
            result = b"the metrics can't be made: see scrapyd's log\n"
        txrequest.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        txrequest.write(result)
        txrequest.finish()
