"""What ``/metrics`` tells: groups of metrics, each with the statement that finds their values."""

from typing import LiteralString, NamedTuple

GAUGE, COUNTER = "gauge", "counter"


class Metric(NamedTuple):
    """A metric, by the name of its column in the group's statement."""

    name: str
    help: str
    kind: str = GAUGE


class MetricGroup(NamedTuple):
    """Metrics that one statement finds; its rows have a column for each label and each metric.

    A value of ``NULL`` gives no series. The statement may use ``%(schedules)s``, the names of the
    schedules of this scrapyd, and ``%(in_fleet)s``, whether it is a node of a fleet.
    """

    prefix: str
    labels: tuple[str, ...]
    metrics: tuple[Metric, ...]
    sql: LiteralString

    def full_name(self, metric: Metric) -> str:
        # The library itself adds it to a counter.
        suffix = "_total" if metric.kind == COUNTER else ""
        return f"coinspider_{self.prefix}{metric.name}{suffix}"


# The machine, unless this scrapyd is one of a fleet.
_NODE = "coalesce(CASE WHEN %(in_fleet)s THEN node END, host, '')"
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
