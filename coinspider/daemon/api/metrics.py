"""``/metrics`` for Prometheus: crawls, APIs and keys, schedules, jobs that never began."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import LiteralString, NamedTuple

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from psycopg.rows import DictRow
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from coinspider.daemon.alerts.rules import ScheduleRuns, missed_runs, read_runs
from coinspider.daemon.database import connection, figure_workers, query, send_later
from coinspider.daemon.nodes import this_node
from coinspider.daemon.outcomes import BAD, FailedJob, FailedJobs
from coinspider.daemon.protocols import Root, WebRequest
from coinspider.daemon.schedules.forecast import Forecast
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.service import schedule_service
from coinspider.errors import DatabaseUnreachableError
from coinspider.store.account import ApiUsage, list_api_usage

log = Logger()
GAUGE, COUNTER = "gauge", "counter"
_FAMILIES = {GAUGE: GaugeMetricFamily, COUNTER: CounterMetricFamily}
USAGE_LABELS = ("account",)
_HELP = {
    "calls_this_minute": "Calls of this key in the last minute",
    "calls_this_month": "Calls of this key in this month (UTC)",
    "told_limit_calls": "Calls that the settings or the plan allow in a period",
    "told_limit_period_seconds": "Length of that period",
    "known_limit_calls": "Calls that the API allows in a period, as far as it is known",
    "known_limit_period_seconds": "Length of that period",
    "waiting_crawls": "Crawls that wait for this limit",
    "refused_wait_seconds": "For how long no call is made, because the API refused one",
    "credits_left": "Calls that are left in this month",
    "credits_end_timestamp_seconds": "When none is left, at this month's pace (Unix time)",
    "exhausted": "Whether the API says that the month's calls are used up",
}
USAGE_NAMES = tuple(f"coinspider_api_{name}" for name in _HELP)
ENABLED = "coinspider_schedule_enabled"
FAILURES = "coinspider_schedule_failures"
MISSED = "coinspider_schedule_missed_runs"
NEEDED = "coinspider_schedule_needed_calls"
USED_UP = "coinspider_schedule_used_up_timestamp_seconds"
SCHEDULE_NAMES = (ENABLED, FAILURES, MISSED, NEEDED, USED_UP)
SCHEDULE_LABELS = ("schedule",)
DATABASE_UP = "coinspider_database_up"
FAILED_JOBS = "coinspider_failed_jobs"
FAILED_AT = "coinspider_failed_job_timestamp_seconds"
FAILED_JOB_NAMES = (DATABASE_UP, FAILED_JOBS, FAILED_AT)


class Metric(NamedTuple):
    """A metric, by the name of its column in the group's statement."""

    name: str
    help: str
    kind: str = GAUGE


class MetricGroup(NamedTuple):
    """Metrics that one statement finds; its rows have a column for each label and each metric.

    A value of ``NULL`` gives no series. The statement may use ``%(schedules)s``, the names of the
    schedules of this scrapyd.
    """

    prefix: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]
    sql: LiteralString

    def full_name(self, metric: Metric) -> str:
        # The library itself adds it to a counter.
        suffix = "_total" if metric.kind == COUNTER else ""
        return f"coinspider_{self.prefix}{metric.name}{suffix}"


# The scrapyd that ran it, or the machine on which somebody did.
_NODE = "coalesce(node, host, '')"
# The job of a schedule is called after it: coins.20261124T140122.123
_IS_SCHEDULED = "regexp_replace(job, '\\.\\d{8}T\\d{6}\\.\\d+$', '') = ANY(%(schedules)s)"
# Of a crawl that nothing repeats any more the series end after a day.
_IS_CURRENT = f"(ended_at > now() - interval '1 day' OR {_IS_SCHEDULED})"

LAST_CRAWL = MetricGroup(
    "crawl_",
    ("spider", "vs_currency", "whole"),
    (
        Metric("last_success_timestamp_seconds", "When the last complete crawl ended (Unix time)"),
        Metric("age_seconds", "How long ago the last complete crawl ended"),
        Metric("duration_seconds", "How long the last crawl took"),
        Metric("success", "Whether the last crawl was complete"),
        Metric("records", "Records that the last crawl read"),
        Metric("new_records", "Records of the last crawl that became new rows"),
        Metric("changed_records", "Records of the last crawl that changed a row"),
        Metric("unchanged_records", "Records of the last crawl that changed nothing"),
        Metric("older_records", "Records of the last crawl that were older than their row"),
        Metric("repeated_records", "Records of the last crawl that it had read before"),
        Metric("dropped_records", "Records of the last crawl that a pipeline dropped"),
        Metric("rejected_records", "Records of the last crawl that could not be stored"),
        Metric("refused_calls", "Calls of the last crawl that the API refused"),
        Metric("wait_seconds", "How long the last crawl waited for the API's limit"),
    ),
    f"""
WITH source AS (
    SELECT max(id) AS id, max(ended_at) FILTER (WHERE outcome = 'complete') AS success
    FROM crawl WHERE ended_at IS NOT NULL AND outcome <> 'skipped' GROUP BY lock_name, whole
)
SELECT spider, coalesce(vs_currency, '') AS vs_currency, coalesce(whole, true)::int::text AS whole,
       extract(epoch FROM success) AS last_success_timestamp_seconds,
       extract(epoch FROM now() - success) AS age_seconds,
       extract(epoch FROM ended_at - started_at) AS duration_seconds,
       (outcome = 'complete')::int AS success, record_count AS records,
       inserted_count AS new_records, updated_count AS changed_records,
       unchanged_count AS unchanged_records, older_count AS older_records,
       repeated_count AS repeated_records, dropped_count AS dropped_records,
       rejected_count AS rejected_records, refused_count AS refused_calls, wait_seconds
FROM source JOIN crawl USING (id) WHERE {_IS_CURRENT} ORDER BY id
""",  # noqa: S608
)
RUNNING_CRAWL = MetricGroup(
    "running_crawl_",
    ("spider", "vs_currency", "node"),
    (
        Metric("age_seconds", "How long ago the running crawl began"),
        Metric("pages", "Pages that the running crawl has read"),
        Metric("calls", "Calls that the running crawl has made"),
        Metric("refused_calls", "Calls of the running crawl that the API refused"),
        Metric("wait_seconds", "How long the running crawl has waited for the API's limit"),
        Metric(
            "waiting_until_timestamp_seconds",
            "Until when the running crawl waits for the API's limit, if it does (Unix time)",
        ),
    ),
    f"""
SELECT spider, coalesce(vs_currency, '') AS vs_currency, {_NODE} AS node,
       extract(epoch FROM now() - min(started_at)) AS age_seconds, sum(page_count) AS pages,
       sum(call_count) AS calls, sum(refused_count) AS refused_calls,
       sum(wait_seconds) AS wait_seconds,
       max(waiting_until) FILTER (WHERE waiting_until > extract(epoch FROM now()))
           AS waiting_until_timestamp_seconds
FROM crawl WHERE ended_at IS NULL AND updated_at > now() - interval '1 minute' GROUP BY 1, 2, 3
""",  # noqa: S608
)
ALL_CRAWLS = MetricGroup(
    "",
    ("spider", "vs_currency", "node", "outcome"),
    (
        Metric("crawls", "Crawls that have ended", COUNTER),
        Metric("pages", "Pages with records that they read", COUNTER),
        Metric("calls", "Calls that they made", COUNTER),
        Metric("refused_calls", "Calls of theirs that the API refused", COUNTER),
        Metric("stored_rows", "Rows that they inserted or updated", COUNTER),
    ),
    f"""
WITH ended AS (
    SELECT spider, coalesce(vs_currency, '') AS vs_currency, {_NODE} AS node, outcome,
           count(*) AS crawls, sum(page_count) AS pages, sum(call_count) AS calls,
           sum(refused_count) AS refused_calls,
           sum(inserted_count + updated_count) AS stored_rows
    FROM crawl WHERE ended_at IS NOT NULL GROUP BY 1, 2, 3, 4
)
SELECT * FROM ended WHERE EXISTS (
    SELECT FROM crawl WHERE spider = ended.spider
        AND coalesce(vs_currency, '') = ended.vs_currency AND {_IS_CURRENT}
    OFFSET 0  -- it ends with the first that is found, and doesn't look at each job's name
)
""",  # noqa: S608
)
GROUPS = (LAST_CRAWL, RUNNING_CRAWL, ALL_CRAWLS)


class UsageCollector(Collector):
    """Reads the figures from the database on each request."""

    def collect(self) -> Iterable[Family]:
        with connection() as connected:
            figures = {one.account: _figures(one) for one in list_api_usage(connected)}
        for name, text in _HELP.items():
            family = GaugeMetricFamily(f"coinspider_api_{name}", text, labels=USAGE_LABELS)
            for account, of_account in figures.items():
                if (value := of_account[name]) is not None:
                    family.add_metric([account], value)
            yield family


def _figures(usage: ApiUsage) -> dict[str, float | None]:
    """Unknown values are ``None``."""
    told, learned = usage.told_calls, usage.learned_calls
    return {
        "calls_this_minute": usage.calls_this_minute,
        "calls_this_month": usage.calls_this_month,
        "told_limit_calls": told or None,
        "told_limit_period_seconds": usage.told_period if told else None,
        "known_limit_calls": learned or None,
        "known_limit_period_seconds": usage.learned_period if learned else None,
        "waiting_crawls": usage.waiting_crawls,
        "refused_wait_seconds": usage.refused_wait,
        "credits_left": usage.credits_left,
        "credits_end_timestamp_seconds": _timestamp(usage.credits_last_until),
        "exhausted": bool(usage.exhausted),
    }


def _timestamp(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


class WatchedSchedule(NamedTuple):
    """A schedule, whether it is active, and the calls that it needs in a month."""

    schedule: Schedule
    enabled: bool = True
    forecast: Forecast | None = None


class ScheduleCollector(Collector):
    """The metrics of each schedule; of an inactive one only that it is inactive."""

    def __init__(self, watched: Iterable[WatchedSchedule], runs: Mapping[str, ScheduleRuns]):
        self.watched, self.runs = list(watched), runs

    def collect(self) -> Iterable[Family]:
        enabled = GaugeMetricFamily(ENABLED, "Whether it runs at its times", labels=SCHEDULE_LABELS)
        failures = GaugeMetricFamily(
            FAILURES, "Runs that failed since the last complete one", labels=SCHEDULE_LABELS
        )
        missed = GaugeMetricFamily(
            MISSED,
            "Times it was due since the last complete crawl of its data",
            labels=SCHEDULE_LABELS,
        )
        needed = GaugeMetricFamily(
            NEEDED, "Calls that it needs in a month at its fixed times", labels=SCHEDULE_LABELS
        )
        used_up = GaugeMetricFamily(
            USED_UP,
            "When its key's credits of this month do not last: their end",
            labels=SCHEDULE_LABELS,
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


class FailedJobCollector(Collector):
    """``failed`` has the newest first."""

    def __init__(self, failed: Iterable[FailedJob], database_up: bool):
        # Not those that were told to stop, or that another crawl made needless.
        self.failed = [job for job in failed if job.outcome in BAD]
        self.database_up = database_up

    def collect(self) -> Iterable[Family]:
        yield GaugeMetricFamily(DATABASE_UP, "Whether the database can be asked", self.database_up)
        count = GaugeMetricFamily(
            FAILED_JOBS, "Jobs that ended before they began to crawl", labels=["spider"]
        )
        ended = GaugeMetricFamily(
            FAILED_AT, "When the last of them ended (Unix time)", labels=["spider"]
        )
        for spider in dict.fromkeys(job.spider for job in self.failed):
            jobs = [job for job in self.failed if job.spider == spider]
            count.add_metric([spider], len(jobs))
            ended.add_metric([spider], jobs[0].ended_at.timestamp())
        yield from (count, ended)


log = Logger()


def metric_names() -> list[str]:
    """The names of all metrics, as Prometheus reads them."""
    crawls = [group.full_name(metric) for group in GROUPS for metric in group.metrics]
    return [*crawls, *USAGE_NAMES, *FAILED_JOB_NAMES, *SCHEDULE_NAMES]


def metric_labels() -> dict[str, tuple[str, ...]]:
    """The labels of each metric, by its name."""
    crawls = {group.full_name(m): group.labels for group in GROUPS for m in group.metrics}
    failed = {name: () if name == DATABASE_UP else ("spider",) for name in FAILED_JOB_NAMES}
    usage = dict.fromkeys(USAGE_NAMES, USAGE_LABELS)
    schedules = dict.fromkeys(SCHEDULE_NAMES, SCHEDULE_LABELS)
    return crawls | usage | failed | schedules


class CrawlCollector(Collector):
    """Reads the figures from the database on each request."""

    def __init__(self, schedules: Iterable[str]):
        self.values = {"schedules": list(schedules)}

    def collect(self) -> Iterable[Family]:
        for group in GROUPS:
            yield from _families(group, query(group.sql, self.values))


def _families(group: MetricGroup, rows: list[DictRow]) -> Iterable[Family]:
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
) -> bytes:
    """The figures in Prometheus' text format; a crawl that never succeeded has no age.

    If the database does not answer, only those that scrapyd keeps itself.
    """
    try:
        crawls = _text(CrawlCollector(schedules)) + _text(UsageCollector())
        failed = failed_jobs.without_row() if failed_jobs else []
        runs = read_runs([one.schedule for one in watched], failed)
        told = crawls + _text(ScheduleCollector(watched, runs))
        return told + _text(FailedJobCollector(failed, database_up=True))
    except (psycopg.Error, DatabaseUnreachableError):
        failed = failed_jobs.known() if failed_jobs else []
        return _text(FailedJobCollector(failed, database_up=False))


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


class Metrics(Resource):
    """``GET``."""

    isLeaf = True

    def __init__(self, root: Root):
        super().__init__()
        self.root = root

    def render_GET(self, txrequest: WebRequest) -> int:
        service = schedule_service(self.root.app)
        watched = [
            WatchedSchedule(schedule, service.runs(schedule), service.forecasts.of(schedule))
            for schedule in service.schedules.values()
        ]

        def answer(result: bytes | Failure) -> bytes:
            txrequest.setHeader("Content-Type", CONTENT_TYPE_LATEST)
            if isinstance(result, bytes):
                return result
            log.failure("The metrics can't be made", failure=result)
            txrequest.setResponseCode(500)
            return b"the metrics can't be made: see scrapyd's log\n"

        names, failed_jobs = list(service.schedules), this_node().failed_jobs
        found = figure_workers().run("metrics", metrics, names, failed_jobs, watched)
        return send_later(found, txrequest, answer)
