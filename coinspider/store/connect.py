"""The connection to PostgreSQL: one's own, or the embedded server."""

import asyncio
from pathlib import Path
from subprocess import SubprocessError

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from scrapy.exceptions import NotConfigured
from scrapy.settings import BaseSettings
from scrapy.utils.project import data_path

from coinspider.errors import ConfigurationError, DatabaseUnreachableError

# A batch finds its rows by the primary key. The plan of its prepared statement dates from when the
# table was small, or empty, and would read all of a table that has grown since, with each batch.
_PLANS = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"


DEMO_DATABASE = "demo"


# A server that is cut off answers nothing, not even that it is.
_KEEPALIVE = {
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
}


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


async def connect(settings: BaseSettings) -> AsyncConnection:
    """Open an autocommit connection to ``DATABASE_URL``, or to the embedded server without one.

    Raises :exc:`DatabaseUnreachableError` and, for a URL that is none, :exc:`ConfigurationError`.
    """
    url = settings.get("DATABASE_URL") or await asyncio.to_thread(embedded_url)
    where = describe(url)
    try:
        connection = await AsyncConnection.connect(
            make_conninfo(url, **(_KEEPALIVE | conninfo_to_dict(url))),
            autocommit=True,
            connect_timeout=settings.getint("POSTGRES_CONNECT_TIMEOUT"),
            application_name="coinspider",
        )
        await connection.execute(_PLANS)
        return connection
    except psycopg.Error as error:
        raise DatabaseUnreachableError(
            f"the database {where} can't be reached: {one_line(error)}"
        ) from None


def database_url(settings: BaseSettings, demo: bool = False) -> str:
    """``DATABASE_URL``, or the embedded server's; for the demo always its own database of that."""
    if demo:
        return embedded_url(DEMO_DATABASE)
    return settings.get("DATABASE_URL") or embedded_url()


def embedded_url(database: str = "postgres") -> str:
    """Start the embedded server of this project, and give the URL of one of its databases."""
    from coinspider.store.embedded_server import start_embedded_server

    try:
        directory = Path(data_path("postgresql"))
    except NotConfigured:
        # From an egg, in scrapyd, there is no scrapy.cfg to be beside.
        directory = Path(".scrapy", "postgresql")
    try:
        return start_embedded_server(directory.absolute(), database)
    except (OSError, RuntimeError, AssertionError, SubprocessError) as error:
        raise DatabaseUnreachableError(f"the embedded PostgreSQL did not start: {error}") from None


def describe(url: str) -> str:
    """Name the database a URL points to, without its password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The error's own text would repeat the URL, with the password in it.
        raise ConfigurationError(
            "DATABASE_URL is not a PostgreSQL URL: postgresql://user:password@host:port/database"
        ) from None
    host, port = parts.get("host", "localhost"), parts.get("port", "5432")
    return f"{parts.get('dbname') or parts.get('user') or ''} on {host}:{port}"


def place(settings: BaseSettings) -> str:
    """Where the rows are, in words."""
    url = settings.get("DATABASE_URL")
    return f"database {describe(url)}" if url else "the embedded PostgreSQL"
