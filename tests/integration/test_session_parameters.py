"""The parameters of a session, whatever the defaults of database, role and environment are."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

import psycopg
import pytest
from msgspec import Raw

from coinspider.errors import ConfigurationError, DatabaseUnreachableError
from coinspider.records.record import RejectedRecord
from coinspider.records.table_item import Amount, Key, TableItem, Time
from coinspider.store.connection import connect, transaction
from coinspider.store.crawl import Batch
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.migration import make_schema, migrate
from coinspider.store.rejected import insert_rejected
from coinspider.store.upsert import upsert
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.processes import last_line

BEGIN = "INSERT INTO crawl (spider, url, started_at) VALUES ('s', 'u', now()) RETURNING id"
TIMEOUTS = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
KEY = "Zoë ☃ \\ ' \U0001f980"
AT = datetime(2025, 3, 4, 5, 6, 7, 890_123, tzinfo=UTC)
WRITABLE = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
DEFAULTS = {
    "nothing": (),
    "client_encoding": ("client_encoding = 'LATIN1'",),
    "DateStyle": ("datestyle = 'German, DMY'", "intervalstyle = 'sql_standard'"),
    "TimeZone": ("timezone = 'Asia/Kathmandu'",),
    "strings": ("standard_conforming_strings = off", "quote_all_identifiers = on"),
    "arrays": ("array_nulls = off", "bytea_output = 'escape'", "extra_float_digits = -15"),
    "transactions": (
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
    ),
    "timeouts": ("statement_timeout = '30s'", "lock_timeout = '3s'"),
    "plans": ("enable_indexscan = off", "jit_above_cost = 0"),
}
ENVIRONMENT = {
    "nothing": {},
    "PGCLIENTENCODING": {"PGCLIENTENCODING": "LATIN1"},
    "PGDATESTYLE, PGTZ": {"PGDATESTYLE": "Postgres, DMY", "PGTZ": "America/St_Johns"},
    "PGOPTIONS": {"PGOPTIONS": "-c standard_conforming_strings=off -c client_encoding=SQL_ASCII"},
}


class Thing(TableItem, kw_only=True):
    table: ClassVar[str] = "thing"

    key: Key
    size: Amount
    at: Time


ITEM = Thing(key=KEY, size=Decimal("1.50"), at=AT, extra=Raw(b'{"a":"\\u2603"}'))


async def store(database):
    async with await connect(database) as connection:
        async with connection.pinned():
            await make_schema(connection, database.schema)
            await migrate(connection, Thing)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
        async with connection.pinned():
            shown = await connection.execute(TIMEOUTS)
            assert await shown.fetchone() == ("1min", "10s")
            done = await upsert(connection, Batch(crawl_id, 1), [ITEM])
        async with connection.pinned():
            await insert_rejected(
                connection, Batch(crawl_id, 2), [RejectedRecord(None, KEY, "why")]
            )
    return done.totals.inserted_count


async def forget(database):
    tables = "thing, rejected_record, crawl, source_state, coinspider_schema"
    async with await connect(database) as connection, connection.pinned():
        await connection.execute(f"DROP TABLE IF EXISTS {tables}")


def settings(url, schema=None):
    return DatabaseSettings(url, schema, 10, 60.0, 10.0)


def check(database):
    """Store, read, and compare."""
    asyncio.run(forget(database))
    assert asyncio.run(store(database)) == 1
    with transaction(database) as connection:
        rows = connection.execute("SELECT key, size, at, extra->>'a' FROM thing").fetchall()
        rejected = connection.execute("SELECT source_url, text FROM rejected_record").fetchall()
    assert rows == [(KEY, Decimal("1.50"), AT, "☃")]
    assert rejected == [(None, KEY)]


@pytest.fixture
def set_defaults(database_url):
    def set_defaults(assignments, of="DATABASE {}"):
        with psycopg.connect(database_url, autocommit=True, options=WRITABLE) as connection:
            for assignment in assignments:
                connection.execute(f"ALTER {of.format(connection.info.dbname)} SET {assignment}")

    return set_defaults


def reset(database_url):
    with psycopg.connect(database_url, autocommit=True, options=WRITABLE) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} RESET ALL")


@pytest.mark.parametrize("environment", ENVIRONMENT)
def test_no_default_changes_what_is_stored(database_url, set_defaults, monkeypatch, environment):
    for defaults in DEFAULTS.values():
        reset(database_url)
        set_defaults(defaults)
        with monkeypatch.context() as patched:
            for name, value in ENVIRONMENT[environment].items():
                patched.setenv(name, value)
            check(settings(database_url))
    reset(database_url)


def test_role_and_database_and_environment_at_once(database_url, set_defaults, monkeypatch):
    set_defaults(DEFAULTS["DateStyle"])
    set_defaults(DEFAULTS["TimeZone"], "ROLE CURRENT_USER IN DATABASE {}")
    set_defaults(DEFAULTS["client_encoding"], "ROLE CURRENT_USER IN DATABASE {}")
    for variables in ENVIRONMENT.values():
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    check(settings(database_url))


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize("schema", [None, "Mine"])
@pytest.mark.parametrize("defaults", ["nothing", "DateStyle", "TimeZone", "strings", "arrays"])
def test_behind_a_pooler_other_clients_keep_their_parameters(
    database_url, set_defaults, schema, defaults
):
    set_defaults(DEFAULTS[defaults])
    names = [*settings("", "x").pinned(), "idle_in_transaction_session_timeout"]
    shown = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with (
        pgbouncer(database_url, pool_size=1) as url,
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as other,
    ):
        before = other.execute(shown).fetchone()
        check(settings(url, schema))
        assert other.execute(shown).fetchone() == before
        locks = other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert locks.fetchone() == (0,)
        told = settings(psycopg.conninfo.make_conninfo(url, options="-c geqo=off"))
        with pytest.raises(DatabaseUnreachableError, match="in ignore_startup_parameters"):
            asyncio.run(connect(told))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_database_that_can_not_hold_every_character_is_refused(
    scrapy, sandbox, database_url, query, encoding
):
    query(f"CREATE DATABASE other_{encoding} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = psycopg.conninfo.make_conninfo(database_url, dbname=f"other_{encoding}".lower())
    api = sandbox("--coins", 10)
    refused = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, DATABASE_URL=url)
    assert refused.returncode == 1
    assert f"has the encoding {encoding}, which can't hold every character" in last_line(refused)
    assert not api.calls()


@pytest.mark.parametrize("path", ["''", "nowhere", "pg_temp, public"])
def test_search_path_without_a_schema_is_an_error(database_url, set_defaults, path):
    set_defaults([f"search_path = {path}"])
    with pytest.raises(ConfigurationError, match="POSTGRES_SCHEMA=coinspider"):
        asyncio.run(store(settings(database_url)))
    check(settings(database_url, "coinspider"))
