"""``crawls.json``: what became of each job, from the table ``crawl``."""

from datetime import datetime
from typing import Any

import psycopg
from scrapyd.webservice import WsResource, param
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from coinspider.crawl.outcome import EXIT_STATUS
from coinspider.daemon.database import figure_workers, query
from coinspider.daemon.failed_jobs import FailedJobs
from coinspider.daemon.schedules.service import service_named
from coinspider.errors import DatabaseUnreachableError
from coinspider.store.connection import one_line

LIMIT = 100
LIMIT_MAX = 1000
_CRAWLS = """
SELECT to_jsonb(crawl) - 'lock_name' || jsonb_build_object(
           'seconds', extract(epoch FROM coalesce(ended_at, now()) - started_at)) AS crawl
FROM crawl WHERE %s::text IS NULL OR job = %s ORDER BY id DESC LIMIT %s
"""


def crawls(failed_jobs: FailedJobs, job: str | None, limit: int) -> dict[str, Any]:
    """The newest crawls first, each with its ``exit_status``: none while it runs, or if it died.

    Among them are the jobs that ended before they began to crawl; where the database can't be
    asked, these alone, and ``database_error`` says why.
    """
    limit = min(limit, LIMIT_MAX)
    try:
        rows = [row["crawl"] for row in query(_CRAWLS, [job, job, limit])]
        failed = failed_jobs.without_row(limit, job)
    except (psycopg.Error, DatabaseUnreachableError) as error:
        if failed := failed_jobs.known(limit, job):
            return {"crawls": [j.as_crawl() for j in failed], "database_error": one_line(error)}
        raise
    found = [row | {"exit_status": EXIT_STATUS.get(row["outcome"])} for row in rows]
    found += [failed_job.as_crawl() for failed_job in failed]
    found.sort(key=lambda crawl: datetime.fromisoformat(crawl["started_at"]), reverse=True)
    return {"crawls": found[:limit]}


class _Answer(WsResource):
    """What a thread has found, or why it could not, in scrapyd's own form."""

    def __init__(self, root: Any, result: Any):
        super().__init__(root)
        self.result = result

    def render_GET(self, txrequest: Any) -> dict[str, Any]:
        if isinstance(self.result, Failure):
            self.result.raiseException()
        answer: dict[str, Any] = self.result
        return answer


class CrawlsJson(WsResource):
    """``GET`` with ``job`` (that job's alone) and ``limit`` (100)."""

    def render(self, txrequest: Any) -> Any:
        if txrequest.method != b"GET":
            return super().render(txrequest)
        try:
            job, limit = self._arguments(txrequest)
        except Exception:
            return _Answer(self.root, Failure()).render(txrequest)
        failed_jobs = service_named("launcher", self.root.app).failed_jobs
        found = figure_workers().run(("crawls", job, limit), crawls, failed_jobs, job, limit)
        found.addBoth(self._send, txrequest)
        return NOT_DONE_YET

    def render_GET(self, txrequest: Any) -> None:
        """Never called; ``render_OPTIONS`` looks for it."""

    @param("job", required=False)
    @param("limit", required=False, default=LIMIT, type=int)
    def _arguments(self, txrequest: Any, job: str | None, limit: int) -> tuple[str | None, int]:
        return job, max(limit, 1)

    def _send(self, result: Any, txrequest: Any) -> None:
        if txrequest.channel:  # else the client has not waited for it
            txrequest.write(_Answer(self.root, result).render(txrequest))
            txrequest.finish()
