"""``/metrics``: the crawls of each source, for Prometheus."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.api.metric_groups import COUNTER, GAUGE, GROUPS, MetricGroup
from coinspider.daemon.database import query
from coinspider.daemon.schedules.service import schedule_service

_FAMILIES = {GAUGE: GaugeMetricFamily, COUNTER: CounterMetricFamily}


def metric_names() -> list[str]:
    """The names of all metrics, as Prometheus reads them."""
    return [group.full_name(metric) for group in GROUPS for metric in group.metrics]


class CrawlCollector(Collector):
    """Reads the figures from the database, each time they are asked for."""

    def __init__(self, schedules: Iterable[str]):
        self.values = {"schedules": list(schedules)}

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


def metrics(schedules: Iterable[str]) -> bytes:
    """The figures in Prometheus' text format; of a crawl that never succeeded there is no age."""
    registry = CollectorRegistry()
    registry.register(CrawlCollector(schedules))
    return generate_latest(registry)


class Metrics(Resource):
    """``GET``; 503 where the database can't be asked."""

    isLeaf = True

    def __init__(self, root: Any):
        super().__init__()
        self.root = root

    def render_GET(self, txrequest: Any) -> int:
        schedules = list(schedule_service(self.root.app).schedules)
        deferToThread(metrics, schedules).addBoth(self._send, txrequest)
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
