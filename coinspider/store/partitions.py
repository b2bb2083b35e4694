"""Partitions of a table by time: made ahead, and dropped when they are too old."""

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import LiteralString, NamedTuple, Self

from psycopg import AsyncConnection, errors, sql
from scrapy.settings import BaseSettings

from coinspider.setting_kinds import whole_number
from coinspider.store.migration import SCHEMA_LOCK, make_all

logger = logging.getLogger(__name__)

# Partitions whose bounds are not two times, such as the default one, are left out.
_PARTITIONS = """
SELECT relname, bound[1]::timestamptz, bound[2]::timestamptz
FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid,
     regexp_match(pg_get_expr(relpartbound, pg_class.oid),
                  $$FROM \\('([^']+)'\\) TO \\('([^']+)'\\)$$) AS bound
WHERE inhparent = to_regclass(quote_ident(%s)) AND bound IS NOT NULL ORDER BY 2
"""
# Works while others read the table; CREATE TABLE ... PARTITION OF would wait for them:
# https://www.postgresql.org/docs/current/ddl-partitioning.html
_CREATE = "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)"
_ATTACH = "ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({end})"
_DROP = "DROP TABLE {partition}"
# This has to wait for other queries, which must not hold up the crawl for long.
_PATIENCE = "SET LOCAL lock_timeout = '2s'"
DAY = timedelta(days=1)
_LATENESS = 2  # days
# A crawl may run past midnight, a very slow one for days.
_DAYS_AHEAD = 7
# In 0.1 a partition covered a month.
_OWN_NAME = r"_\d{4}_\d{2}(_\d{2})?"


class Partition(NamedTuple):
    """A partition: the rows from ``first`` to before ``end``."""

    name: str
    first: datetime
    end: datetime

    def covers(self, moment: datetime) -> bool:
        return self.first <= moment < self.end


async def list_partitions(connection: AsyncConnection, table: str) -> list[Partition]:
    """All partitions in order of time, including those that users made."""
    rows = await (await connection.execute(_PARTITIONS, [table])).fetchall()
    return [Partition(*row) for row in rows]


async def make_partitions(
    connection: AsyncConnection,
    table: str,
    wanted: Sequence[Partition],
    options: LiteralString = "",
) -> None:
    """Make those for whose first moment there is none."""
    async with connection.transaction():
        await connection.execute(SCHEMA_LOCK)
        there = await list_partitions(connection, table)  # another crawl may have been quicker
        missing = [new for new in wanted if not any(p.covers(new.first) for p in there)]
        await make_all(connection, [_making(table, new, options) for new in missing])
    for new in missing:
        logger.debug("Made %s", new.name)


def _making(table: str, new: Partition, options: LiteralString) -> sql.Composed:
    return sql.SQL(f"{_CREATE} {options}; {_ATTACH}").format(
        partition=sql.Identifier(new.name),
        table=sql.Identifier(table),
        first=sql.Literal(new.first),
        end=sql.Literal(new.end),
    )


async def drop_partition(connection: AsyncConnection, name: str) -> None:
    """If others use it, it stays until the next crawl."""
    try:
        async with connection.transaction():
            await connection.execute(_PATIENCE)
            await connection.execute(sql.SQL(_DROP).format(partition=sql.Identifier(name)))
    except errors.LockNotAvailable:
        logger.warning("%s is too old, but in use: it stays until the next crawl", name)
    except errors.UndefinedTable:
        pass  # another crawl was quicker
    else:
        logger.info("Dropped %s, which is too old", name)


class HistorySettings(NamedTuple):
    """``HISTORY_ENABLED``, and how many days changes and candles are kept (0: for ever)."""

    enabled: bool
    retention_days: int
    hourly_retention_days: int = 0
    daily_retention_days: int = 0

    @property
    def lateness(self) -> timedelta:
        """How late a change may arrive: until then its day is not rolled up."""
        return min(_LATENESS, self.retention_days or _LATENESS) * DAY

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Raises :exc:`ConfigurationError`."""
        return cls(
            settings.getbool("HISTORY_ENABLED"),
            whole_number(settings, "HISTORY_RETENTION_DAYS"),
            whole_number(settings, "HISTORY_HOURLY_RETENTION_DAYS"),
            whole_number(settings, "HISTORY_DAILY_RETENTION_DAYS"),
        )


def midnight(moment: datetime) -> datetime:
    """The beginning of its day, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def server_time(connection: AsyncConnection) -> datetime:
    """The server's clock says which day it is."""
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row
    moment: datetime = row[0]
    return moment


async def keep_partitions(
    connection: AsyncConnection,
    table: str,
    lateness: timedelta = timedelta(),
    now: datetime | None = None,
) -> None:
    """Create the partitions of today and of the days around it, unless larger ones exist."""
    today = midnight(now or await server_time(connection))
    found = await list_partitions(connection, table)
    days = (today + number * DAY for number in range(-lateness.days, _DAYS_AHEAD + 1))
    wanted = [
        Partition(f"{table}_{day:%Y_%m_%d}", day, day + DAY)
        for day in days
        if not any(partition.covers(day) for partition in found)
    ]
    if wanted:
        await make_partitions(connection, table, wanted)


async def drop_old_partitions(connection: AsyncConnection, table: str, end: datetime) -> None:
    """Drop partitions whose rows are all older than ``end``.

    Only partitions with coinspider's names are dropped; users' own stay.
    """
    for partition in await list_partitions(connection, table):
        if partition.end <= end and re.fullmatch(re.escape(table) + _OWN_NAME, partition.name):
            await drop_partition(connection, partition.name)
