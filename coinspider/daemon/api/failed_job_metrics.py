"""What ``/metrics`` tells of jobs that never began to crawl: no row in the database has them."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from coinspider.daemon.crawl_messages import BAD
from coinspider.daemon.failed_jobs import FailedJob

DATABASE_UP = "coinspider_database_up"
FAILED_JOBS = "coinspider_failed_jobs"
FAILED_AT = "coinspider_failed_job_timestamp_seconds"
NAMES = (DATABASE_UP, FAILED_JOBS, FAILED_AT)


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
