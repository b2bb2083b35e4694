"""``/metrics``: the last crawl of each source, for Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.database import query

_LABELS = ["spider", "vs_currency"]
_GAUGES = {
    "last_success_timestamp_seconds": "When the last complete crawl ended (Unix time)",
    "age_seconds": "How long ago the last complete crawl ended",
    "duration_seconds": "How long the last crawl took",
    "success": "Whether the last crawl was complete",
    "records": "Records that the last crawl read",
    "rejected_records": "Records that the last crawl set aside",
    "refused_calls": "Calls that the API refused to the last crawl",
    "wait_seconds": "How long the last crawl waited for the API's limit",
}
_LAST = """
WITH ended AS (
    SELECT *, row_number() OVER (source ORDER BY id DESC) AS number,
           max(ended_at) FILTER (WHERE outcome = 'complete') OVER source AS success
    FROM crawl WHERE ended_at IS NOT NULL AND outcome <> 'skipped'
    WINDOW source AS (PARTITION BY lock_name)
)
SELECT spider, coalesce(vs_currency, '') AS vs_currency,
       extract(epoch FROM success) AS last_success_timestamp_seconds,
       extract(epoch FROM now() - success) AS age_seconds,
       extract(epoch FROM ended_at - started_at) AS duration_seconds,
       (outcome = 'complete')::int AS success, record_count AS records,
       rejected_count AS rejected_records, refused_count AS refused_calls, wait_seconds
FROM ended WHERE number = 1 ORDER BY id
"""


def metric_names() -> list[str]:
    return [f"coinspider_crawl_{name}" for name in _GAUGES]


def metrics() -> bytes:
    """The figures in Prometheus' text format; of a crawl that never succeeded there is no age."""
    registry = CollectorRegistry()
    gauges = {
        name: Gauge(f"coinspider_crawl_{name}", text, _LABELS, registry=registry)
        for name, text in _GAUGES.items()
    }
    for row in query(_LAST):
        labels = [row[label] for label in _LABELS]
        for name, gauge in gauges.items():
            if row[name] is not None:
                gauge.labels(*labels).set(float(row[name]))
    return generate_latest(registry)


class Metrics(Resource):
    """``GET``; 503 where the database can't be asked."""

    isLeaf = True

    def __init__(self, root: Any):
        super().__init__()

    def render_GET(self, txrequest: Any) -> int:
        deferToThread(metrics).addBoth(self._send, txrequest)
        return NOT_DONE_YET

    def _send(self, result: Any, txrequest: Any) -> None:
        if not txrequest.channel:  # the client has not waited for it
            return
        if isinstance(result, Failure):
            txrequest.setResponseCode(503)
            result = f"the database can't be asked: {type(result.value).__name__}\n".encode()
        txrequest.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        txrequest.write(result)
        txrequest.finish()
