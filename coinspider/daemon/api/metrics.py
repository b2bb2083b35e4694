"""``/metrics`` for Prometheus: crawls, APIs and keys, schedules, jobs that never began."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, SupportsFloat, cast

import psycopg
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
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
from coinspider.store.schema import CRAWL

log = Logger()
GAUGE, COUNTER = "gauge", "counter"


class Metric(NamedTuple):
    """A metric, by the name of its column in the group's statement."""

    name: str
    help: str
    kind: str = GAUGE


class MetricGroup(NamedTuple):
    """Metrics with the same labels, whose rows have each label and each metric by its name.

    What is ``None``, or missing, gives no series. The ``sql`` that finds the rows may use
    ``%(schedules)s``, the names of the schedules of this scrapyd.
    """

    prefix: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]
    sql: str = ""

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
    FROM {CRAWL.sound} WHERE ended_at IS NOT NULL AND outcome <> 'skipped' GROUP BY lock_name, whole
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
FROM source JOIN {CRAWL.sound} USING (id) WHERE {_IS_CURRENT} ORDER BY id
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
FROM {CRAWL.sound} WHERE ended_at IS NULL AND updated_at > now() - interval '1 minute'
GROUP BY 1, 2, 3
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
    FROM {CRAWL.sound} WHERE ended_at IS NOT NULL GROUP BY 1, 2, 3, 4
)
SELECT * FROM ended WHERE EXISTS (
    SELECT FROM {CRAWL.sound} WHERE spider = ended.spider
        AND coalesce(vs_currency, '') = ended.vs_currency AND {_IS_CURRENT}
    OFFSET 0  -- it ends with the first that is found, and doesn't look at each job's name
)
""",  # noqa: S608
)
CRAWLS = (LAST_CRAWL, RUNNING_CRAWL, ALL_CRAWLS)
USAGE = MetricGroup(
    "api_",
    ("account",),
    (
        Metric("calls_this_minute", "Calls of this key in the last minute"),
        Metric("calls_this_month", "Calls of this key in this month (UTC)"),
        Metric("told_limit_calls", "Calls that the settings or the plan allow in a period"),
        Metric("told_limit_period_seconds", "Length of that period"),
        Metric("known_limit_calls", "Calls that the API allows in a period, as far as it is known"),
        Metric("known_limit_period_seconds", "Length of that period"),
        Metric("waiting_crawls", "Crawls that wait for this limit"),
        Metric("refused_wait_seconds", "For how long no call is made, because the API refused one"),
        Metric("credits_left", "Calls that are left in this month"),
        Metric(
            "credits_end_timestamp_seconds",
            "When none is left, at this month's pace (Unix time)",
        ),
        Metric("exhausted", "Whether the API says that the month's calls are used up"),
    ),
)
SCHEDULES = MetricGroup(
    "schedule_",
    ("schedule",),
    (
        Metric("enabled", "Whether it runs at its times"),
        Metric("failures", "Runs that failed since the last complete one"),
        Metric("missed_runs", "Times it was due since the last complete crawl of its data"),
        Metric("needed_calls", "Calls that it needs in a month at its fixed times"),
        Metric(
            "used_up_timestamp_seconds",
            "When its key's credits of this month do not last: their end",
        ),
    ),
)
DATABASE = MetricGroup("database_", (), (Metric("up", "Whether the database can be asked"),))
FAILED_JOBS = MetricGroup(
    "",
    ("spider",),
    (
        Metric("failed_jobs", "Jobs that ended before they began to crawl"),
        Metric("failed_job_timestamp_seconds", "When the last of them ended (Unix time)"),
    ),
)
GROUPS = (*CRAWLS, USAGE, SCHEDULES, DATABASE, FAILED_JOBS)
Rows = Iterable[Mapping[str, object]]


def metric_labels() -> dict[str, tuple[str, ...]]:
    """The labels of each metric, by its name as Prometheus reads it."""
    return {group.full_name(m): group.labels for group in GROUPS for m in group.metrics}


def usage_row(usage: ApiUsage) -> dict[str, object]:
    told, learned = usage.told_calls, usage.learned_calls
    return {
        "account": usage.account,
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

    def row(self, runs: ScheduleRuns) -> dict[str, object]:
        """Of an inactive one only that it is inactive."""
        row: dict[str, object] = {"schedule": self.schedule.name, "enabled": self.enabled}
        if not self.enabled:
            return row
        now, success, forecast = datetime.now(UTC), runs.last_success, self.forecast
        return row | {
            "failures": runs.failures,
            "missed_runs": missed_runs(self.schedule, success, now) if success else None,
            "needed_calls": forecast and forecast.needed,
            "used_up_timestamp_seconds": _timestamp(forecast and forecast.used_up_at(now)),
        }


def failed_job_rows(newest: Iterable[FailedJob]) -> Rows:
    """Not those that were told to stop, or that another crawl made needless."""
    ends: dict[str, list[float]] = {}
    for job in newest:
        if job.outcome in BAD:
            ends.setdefault(job.spider, []).append(job.ended_at.timestamp())
    for spider, times in ends.items():
        last = {"failed_job_timestamp_seconds": times[0]}
        yield {"spider": spider, "failed_jobs": len(times)} | last


class Figures(Collector):
    """The rows of each group, for Prometheus' library."""

    def __init__(self, found: Iterable[tuple[MetricGroup, Rows]]):
        self.found = found

    def collect(self) -> Iterable[Family]:
        for group, rows in self.found:
            listed = list(rows)
            for metric in group.metrics:
                yield _family(group, metric, listed)


def _family(group: MetricGroup, metric: Metric, rows: list[Mapping[str, object]]) -> Family:
    name, labels = group.full_name(metric), group.labels
    kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(name, metric.help, labels=labels)
    for row in rows:
        value = cast(SupportsFloat | None, row.get(metric.name))
        if value is not None:
            family.add_metric([str(row[label]) for label in labels], float(value))
    return family


def metrics(
    schedules: Iterable[str],
    failed_jobs: FailedJobs | None = None,
    watched: Sequence[WatchedSchedule] = (),
) -> bytes:
    """The figures in Prometheus' text format; a crawl that never succeeded has no age.

    If the database does not answer, only those that scrapyd keeps itself.
    """
    try:
        found = _all(list(schedules), failed_jobs, watched)
    except (psycopg.Error, DatabaseUnreachableError):
        failed = failed_jobs.known() if failed_jobs else []
        found = [(DATABASE, [{"up": False}]), (FAILED_JOBS, failed_job_rows(failed))]
    return generate_latest(Figures(found))


def _all(
    schedules: list[str], failed_jobs: FailedJobs | None, watched: Sequence[WatchedSchedule]
) -> list[tuple[MetricGroup, Rows]]:
    crawls = [(group, query(group.sql, {"schedules": schedules})) for group in CRAWLS]
    with connection() as connected:
        usage = list_api_usage(connected)
    failed = failed_jobs.without_row() if failed_jobs else []
    runs = read_runs([one.schedule for one in watched], failed)
    return [
        *crawls,
        (USAGE, map(usage_row, usage)),
        (SCHEDULES, [one.row(runs[one.schedule.name]) for one in watched]),
        (DATABASE, [{"up": True}]),
        (FAILED_JOBS, failed_job_rows(failed)),
    ]


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
