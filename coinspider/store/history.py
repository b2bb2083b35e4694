"""The changes of rows: a table with a partition a month, made in time and dropped in time."""

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from psycopg import AsyncConnection, errors, sql
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.store.migration import SCHEMA_LOCK

logger = logging.getLogger(__name__)

_PARTITIONS = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = to_regclass(quote_ident(%s))
"""
# Beside those who read the table, for whose end CREATE TABLE ... PARTITION OF would wait:
# https://www.postgresql.org/docs/current/ddl-partitioning.html
_CREATE = "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS)"
_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({end})"
_DROP = "DROP TABLE {partition}"
# That does need all others to be gone, whose long queries must not hold up the crawl.
_PATIENCE = "SET LOCAL lock_timeout = '2s'"


class HistorySettings(NamedTuple):
    """``HISTORY_ENABLED``, and for how many days a change is kept at the least (0 for ever)."""

    enabled: bool
    retention_days: int

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Raises :exc:`ConfigurationError`."""
        days = str(settings.get("HISTORY_RETENTION_DAYS"))
        if not days.isdecimal():
            raise ConfigurationError(
                f"HISTORY_RETENTION_DAYS={days} is not a number of days (0 to keep all)"
            )
        return cls(settings.getbool("HISTORY_ENABLED"), int(days))


class Month(NamedTuple):
    """A month of UTC, which a partition is for."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime) -> Self:
        return cls(*moment.astimezone(UTC).timetuple()[:2])

    @property
    def first(self) -> datetime:
        return datetime(*self, 1, tzinfo=UTC)

    @property
    def following(self) -> "Month":
        return Month.of(self.first + timedelta(days=31))

    def partition(self, table: str) -> str:
        return f"{table}_{self.year:04}_{self.month:02}"


async def keep_partitions(
    connection: AsyncConnection, table: str, retention_days: int, now: datetime | None = None
) -> None:
    """Create the partitions of this month and of the next; drop those that are too old.

    Which month it is, the server's clock says. Only partitions that are named as these are dropped;
    a user's own stay.
    """
    now = now or await _server_time(connection)
    found = await _partitions(connection, table)
    for month in (Month.of(now), Month.of(now).following):
        if month.partition(table) not in found:
            await _create(connection, table, month)
    for name in sorted(found) if retention_days else ():
        then = _month_of(table, name)
        if then and then.following.first <= now - timedelta(days=retention_days):
            await _drop(connection, name)


async def _server_time(connection: AsyncConnection) -> datetime:
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row
    moment: datetime = row[0]
    return moment


async def _partitions(connection: AsyncConnection, table: str) -> set[str]:
    rows = await (await connection.execute(_PARTITIONS, [table])).fetchall()
    return {name for (name,) in rows}


def _month_of(table: str, partition: str) -> Month | None:
    match = re.fullmatch(rf"{re.escape(table)}_(\d{{4}})_(0[1-9]|1[0-2])", partition)
    return Month(int(match[1]), int(match[2])) if match else None


async def _create(connection: AsyncConnection, table: str, month: Month) -> None:
    name = month.partition(table)
    parts = {
        "partition": sql.Identifier(name),
        "table": sql.Identifier(table),
        "first": sql.Literal(month.first),
        "end": sql.Literal(month.following.first),
    }
    async with connection.transaction():
        await connection.execute(SCHEMA_LOCK)
        if name in await _partitions(connection, table):
            return  # another crawl was quicker
        await connection.execute(sql.SQL(_CREATE).format(**parts))
        await connection.execute(sql.SQL(_ATTACH).format(**parts))
    logger.info("Made %s for the changes of %04d-%02d", name, *month)


async def _drop(connection: AsyncConnection, partition: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(_PATIENCE)
            await connection.execute(sql.SQL(_DROP).format(partition=sql.Identifier(partition)))
    except errors.LockNotAvailable:
        logger.warning("%s is too old, but in use: it stays until the next crawl", partition)
    except errors.UndefinedTable:
        pass  # another crawl was quicker
    else:
        logger.info("Dropped %s: HISTORY_RETENTION_DAYS is over", partition)
