"""The connection to PostgreSQL: the user's own, or the embedded server."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection, AsyncCursor, IsolationLevel
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from scrapy.settings import BaseSettings

from coinspider.crawl.target import Place
from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.http.links import is_loopback
from coinspider.installation import data_folder
from coinspider.store.database_url import DatabaseSettings, describe

# The server itself ends statements that take too long; a server that stays silent is given up.
_GRACE = 5.0  # seconds
# How many seconds a crawl that is told to end has for its work in the database: from then on, and
# from its last page on, which may be fifteen seconds later. psycopg then takes up to six more to
# cancel; scrapyd kills after thirty (stop_timeout).
_STOP, _STOP_AFTER_PAGES = 10.0, 5.0
_CANCEL = 1.0
logger = logging.getLogger(__name__)
DEMO_DATABASE = "demo"
# A server that is cut off sends nothing, not even an error.
_KEEPALIVE = {
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
}
# Behind a pooler, each transaction may run in another server process.
_PROVE = "SELECT pg_backend_pid(), current_setting('server_encoding'), pg_is_in_recovery()"
# A transaction whose client has gone silent ends well before the crawl's lease does.
_OF_A_CRAWL = {"idle_in_transaction_session_timeout": "10s"}
_PIN = "SELECT set_config(key, value, %s) FROM json_each_text(%s)"


class Patience:
    """A time limit for each answer, and for all of them together once the crawl is told to end."""

    def __init__(self, statement_timeout: float):
        self.seconds = statement_timeout + _GRACE
        self.deadline: float | None = None
        self.waiting: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """A context that raises :exc:`TimeoutError` if it takes too long."""
        until = asyncio.get_running_loop().time() + self.seconds
        async with asyncio.timeout_at(min(until, self.deadline or until)) as scope:
            self.waiting.add(scope)
            try:
                yield
            finally:
                self.waiting.discard(scope)

    def end_soon(self, told_at: float) -> None:
        """From now on there is one deadline for everything; ``told_at`` is a time of the loop."""
        now = asyncio.get_running_loop().time()
        self.deadline = deadline = max(told_at + _STOP, now + _STOP_AFTER_PAGES)
        for scope in self.waiting:
            scope.reschedule(min(scope.when() or deadline, deadline))

    def extend(self, seconds: float) -> None:
        """Let what comes now have some seconds at least."""
        if self.deadline is not None:
            now = asyncio.get_running_loop().time()
            self.deadline = max(self.deadline, now + seconds)

    def is_over(self) -> bool:
        return self.deadline is not None and asyncio.get_running_loop().time() >= self.deadline


def warn_of_missing_tls(connection: AsyncConnection[TupleRow]) -> None:
    """Warn if a connection with a password leads to another machine without TLS."""
    info = connection.info
    # A Unix socket has no address.
    is_away = info.hostaddr and not is_loopback(info.hostaddr)
    if info.password and not connection.pgconn.ssl_in_use and is_away:
        logger.warning(
            "The connection to the database on %s is not encrypted: who is in between reads and"
            " changes what is written. sslmode=verify-full in DATABASE_URL asks for TLS",
            info.host,
        )


def one_line(error: Exception) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return "it does not answer"
    return " ".join(str(error).split())


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn PostgreSQL's errors into :exc:`DatabaseUnreachableError`, for commands."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseUnreachableError(
            f"{one_line(error)}: GRANT the right to the user of DATABASE_URL"
        ) from None
    except psycopg.Error as error:
        raise DatabaseUnreachableError(f"the database can't be asked: {one_line(error)}") from None


class CrawlConnection(AsyncConnection[TupleRow]):
    """An autocommit connection that sets the parameters its statements rely on.

    In a session of its own they are set once. Behind a pooler in transaction mode, they are set in
    each transaction, and end with it.
    """

    database: DatabaseSettings
    patience: Patience
    process_id: int | None = None
    """The server's process, if the session is this connection's own."""

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Every statement goes through here. Raises :exc:`TimeoutError` if no answer comes."""
        async with self.patience.bound():
            return await super().wait(*args, **kwargs)

    async def cancel_safe(self, *, timeout: float = 30.0) -> None:  # noqa: ASYNC109 (psycopg's)
        """psycopg calls it when :meth:`wait` is given up."""
        is_ending = self.patience.deadline is not None
        await super().cancel_safe(timeout=min(timeout, _CANCEL) if is_ending else timeout)

    @asynccontextmanager
    async def pinned(self) -> AsyncIterator[None]:
        """A context in which statements run with the parameters."""
        if self.process_id:
            yield
            return
        async with self.transaction():
            await self.pin()
            yield

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """A context whose statements are sent together, with the parameters, in one round trip.

        Outside of a transaction they are one. Their results are there after it.
        """
        try:
            async with self.pipeline():
                if not self.process_id:
                    await self.pin()
                yield
        except BaseException:
            if self.pgconn.pipeline_status:  # it was cut short
                await self.close()
            raise

    async def execute_alone(
        self, query: LiteralString | bytes, values: Any, prepare: bool | None = None
    ) -> AsyncCursor[TupleRow]:
        """Execute one statement with the parameters, in one round trip."""
        async with self.at_once():
            return await self.execute(query, values, prepare=prepare)

    @asynccontextmanager
    async def left_idle(self) -> AsyncIterator[None]:
        """A context for work that begins and ends its transactions itself, unless it fails."""
        try:
            yield
        except BaseException:
            with suppress(psycopg.Error):
                await self.rollback()
            raise

    async def pin(self) -> None:
        """Set the parameters: for the session if it is this connection's own, else for the
        transaction.
        """
        parameters = self.database.pinned() | _OF_A_CRAWL
        await self.execute(_PIN, [not self.process_id, json.dumps(parameters)])

    async def prove(self) -> None:
        """Find out whether the session is shared, and whether the database can be written to.

        Raises :exc:`ConfigurationError`.
        """
        row = await (await self.execute(_PROVE)).fetchone()
        assert row
        process_id, encoding, is_replica = row
        if encoding != "UTF8":
            raise ConfigurationError(
                f"the database {self.info.dbname} has the encoding {encoding}, which can't hold"
                f" every character: make one with createdb --encoding UTF8 --template template0"
            )
        if is_replica:
            raise ConfigurationError(
                f"the database {self.info.dbname} is a replica, which can't be written to:"
                " DATABASE_URL must lead to the primary server"
            )
        if process_id == self.info.backend_pid:
            self.process_id = process_id
            await self.pin()
        else:
            # Prepared statements belong to a session as well.
            self.prepare_threshold = None


async def connect(database: DatabaseSettings, patience: Patience | None = None) -> CrawlConnection:
    """Open an autocommit connection for a crawl, check its session and set its parameters.

    Raises :exc:`DatabaseUnreachableError`, and :exc:`ConfigurationError` for a database that can't
    be used.
    """
    url = database.url
    if url is None:
        url = await asyncio.to_thread(embedded_url)
    patience = patience or Patience(database.statement_timeout)
    try:
        async with patience.bound():
            connection = await CrawlConnection.connect(
                autocommit=True, **_parameters(url, database.connect_timeout)
            )
    except (psycopg.Error, TimeoutError) as error:
        raise _unreachable(url, error) from None
    connection.database, connection.patience = database, patience
    try:
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await connection.set_read_only(False)
        await connection.prove()
        warn_of_missing_tls(connection)
    except (psycopg.Error, TimeoutError) as error:
        await connection.close()
        raise _unreachable(url, error) from None
    except BaseException:
        await connection.close()
        raise
    return connection


@contextmanager
def transaction(database: DatabaseSettings) -> Iterator[psycopg.Connection]:
    """A connection for one transaction with the same parameters, committed at the end.

    Raises :exc:`DatabaseUnreachableError`.
    """
    with open_connection(database) as connection:
        pin_transaction(connection, database)
        yield connection


def open_connection(database: DatabaseSettings) -> psycopg.Connection:
    """A connection that the caller must close. Raises :exc:`DatabaseUnreachableError`."""
    url = database.url or embedded_url()
    try:
        return psycopg.connect(prepare_threshold=None, **_parameters(url, database.connect_timeout))
    except psycopg.Error as error:
        raise _unreachable(url, error) from None


def pin_transaction(connection: psycopg.Connection, database: DatabaseSettings) -> None:
    """Begin a transaction with the parameters that the statements rely on."""
    connection.execute(_PIN, [True, json.dumps(database.pinned())])


def _parameters(url: str, connect_timeout: int) -> dict[str, Any]:
    fixed = {"client_encoding": "utf8", "connect_timeout": connect_timeout}
    named = {"application_name": "coinspider"}
    return _KEEPALIVE | named | conninfo_to_dict(url) | fixed


def _unreachable(url: str, error: Exception) -> DatabaseUnreachableError:
    first = str(error).partition("\n")[0]  # libpq's guesses follow
    text = " ".join(first.split()) or one_line(error)
    if "unsupported startup parameter" in text:
        text += " (unset PGOPTIONS and options=, or name it in ignore_startup_parameters)"
    return DatabaseUnreachableError(f"the database {describe(url)} can't be reached: {text}")


def database_settings(settings: BaseSettings, demo: bool = False) -> DatabaseSettings:
    """What the settings say, with the URL of the embedded server, which is then started.

    The demo always uses the embedded server, with its own database.
    """
    database = DatabaseSettings.from_settings(settings)
    if demo:
        return database._replace(url=embedded_url(DEMO_DATABASE), schema=None)
    return database._replace(url=database.url or embedded_url())


def embedded_url(database: str = "postgres") -> str:
    """Start the embedded server of this project, and give the URL of one of its databases."""
    from coinspider.store.embedded_server import start_embedded_server

    try:
        return start_embedded_server(data_folder("postgresql").absolute(), database)
    except (OSError, RuntimeError, AssertionError, SubprocessError) as error:
        raise DatabaseUnreachableError(f"the embedded PostgreSQL did not start: {error}") from None


def place(database: DatabaseSettings) -> Place:
    """Where the rows are."""
    if not database.url:
        return Place("the embedded PostgreSQL")
    schema = f", schema {database.schema}" if database.schema else ""
    options = " --demo" if _is_demo(database.url) else ""
    return Place(f"database {describe(database.url)}{schema}", options)


def _is_demo(url: str) -> bool:
    """Whether it is the database of ``scrapy demo`` in an embedded server.

    ``scrapy demo --serve`` crawls in a folder of its own, but the user stands in another.
    """
    parts = conninfo_to_dict(url)
    # Unlike /run/postgresql, an embedded server's socket is among its data.
    data = Path(str(parts.get("host")), "PG_VERSION")
    return parts.get("dbname") == DEMO_DATABASE and os.access(data, os.F_OK)
