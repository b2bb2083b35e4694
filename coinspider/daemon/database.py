"""The crawls' database, for scrapyd's pages and metrics."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import psycopg
from psycopg.rows import dict_row
from scrapy.utils.project import get_project_settings
from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.store.connect import database_settings, transaction
from coinspider.store.database_settings import DatabaseSettings
from coinspider.store.embedded_server import stop_embedded_servers

log = Logger()
CONNECT_TIMEOUT, STATEMENT_TIMEOUT = 5, 10.0  # seconds
# Otherwise its locks would last until the server gives up on the client: two hours.
_BRIEF = "SET LOCAL idle_in_transaction_session_timeout = '5s'"
_starting = Lock()


def database() -> DatabaseSettings:
    """The crawls' database; an embedded server runs as long as this process."""
    # Otherwise threads would start the same server at the same time.
    with _starting:
        return _database()


@cache
def _database() -> DatabaseSettings:
    found = database_settings(get_project_settings())
    return found._replace(connect_timeout=CONNECT_TIMEOUT, statement_timeout=STATEMENT_TIMEOUT)


def database_url() -> str:
    return str(database().url)


@contextmanager
def connection() -> Iterator[psycopg.Connection]:
    """A transaction, for threads, with short time limits: no view should take minutes."""
    with transaction(database()) as connected:
        yield connected


@contextmanager
def brief_transaction() -> Iterator[psycopg.Connection]:
    """Like :func:`connection`, for rows that others wait for: a lost client frees them."""
    with connection() as connected:
        connected.execute(_BRIEF)
        yield connected


def query(sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
    """The rows of a query; none if no crawl of this version has made its table. For threads."""
    try:
        with connection() as connected:
            return connected.cursor(row_factory=dict_row).execute(sql, values).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return []


def release() -> None:
    """Stop the embedded server, unless others use it. A signal ends twistd, so no atexit runs."""
    if _database.cache_info().currsize:
        stop_embedded_servers()


class EmbeddedDatabase(Service):
    """Keeps the embedded server running between crawls, which would otherwise stop and start it."""

    def startService(self) -> None:
        super().startService()
        process: Any = reactor
        process.addSystemEventTrigger("after", "shutdown", release)
        deferToThread(database).addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        failure.trap(ConfigurationError, DatabaseUnreachableError)
        log.error("{message}", message=failure.getErrorMessage())
