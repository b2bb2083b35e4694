"""The crawls' database, for the pages and figures that scrapyd shows."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import dict_row
from scrapy.utils.project import get_project_settings
from twisted.application.service import Service
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from coinspider.database import DatabaseUnreachableError, embedded_url

log = Logger()


@cache
def database_url() -> str:
    """``DATABASE_URL``, or the embedded server's, which then runs as long as this process."""
    return get_project_settings().get("DATABASE_URL") or embedded_url()


def query(sql: str, values: Sequence[object] = ()) -> list[dict[str, Any]]:
    """The rows of a query; none where no crawl has created its table yet.

    For threads: it waits for the database.
    """
    url = database_url()
    try:
        with psycopg.connect(
            url, connect_timeout=5, options="-c statement_timeout=10000", row_factory=dict_row
        ) as connection:
            return connection.execute(sql, values).fetchall()  # type: ignore[call-overload, no-any-return]
    except psycopg.errors.UndefinedTable:
        return []


class EmbeddedDatabase(Service):
    """Keeps the embedded server running between the crawls, which else stop and start it."""

    def startService(self) -> None:  # noqa: N802
        super().startService()  # type: ignore[no-untyped-call]
        deferToThread(database_url).addErrback(self._failed)  # type: ignore[no-untyped-call]

    def _failed(self, failure: Any) -> None:
        failure.trap(DatabaseUnreachableError)
        log.error("{message}", message=failure.getErrorMessage())
