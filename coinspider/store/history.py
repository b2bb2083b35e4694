"""The changes of rows: a table whose daily partitions are made and dropped in time."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from psycopg import AsyncConnection
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.store.partitions import (
    Partition,
    drop_partition,
    list_partitions,
    make_partition,
)

DAY = timedelta(days=1)
_LATENESS = 2  # days
# A crawl may run past midnight, a very slow one for days.
_DAYS_AHEAD = 7
# In 0.1 a partition covered a month.
_OWN_NAME = r"_\d{4}_\d{2}(_\d{2})?"


class HistorySettings(NamedTuple):
    """``HISTORY_ENABLED``, and how many days changes and hourly candles are kept (0: for ever)."""

    enabled: bool
    retention_days: int
    hourly_retention_days: int = 0

    @property
    def lateness(self) -> timedelta:
        """How late a change may arrive: until then its day is not rolled up."""
        return min(_LATENESS, self.retention_days or _LATENESS) * DAY

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Raises :exc:`ConfigurationError`."""
        return cls(
            settings.getbool("HISTORY_ENABLED"),
            _days(settings, "HISTORY_RETENTION_DAYS"),
            _days(settings, "HISTORY_HOURLY_RETENTION_DAYS"),
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
    connection: AsyncConnection, table: str, lateness: timedelta = timedelta(),
    now: datetime | None = None,
) -> None:  # fmt: skip
    """Create the partitions of today and of the days around it, unless larger ones exist."""
    today = midnight(now or await server_time(connection))
    found = await list_partitions(connection, table)
    for day in (today + number * DAY for number in range(-lateness.days, _DAYS_AHEAD + 1)):
        if not any(partition.covers(day) for partition in found):
            wanted = Partition(f"{table}_{day:%Y_%m_%d}", day, day + DAY)
            await make_partition(connection, table, wanted)


async def drop_old_partitions(connection: AsyncConnection, table: str, end: datetime) -> None:
    """Drop partitions whose rows are all older than ``end``.

    Only partitions with coinspider's names are dropped; users' own stay.
    """
    for partition in await list_partitions(connection, table):
        if partition.end <= end and re.fullmatch(re.escape(table) + _OWN_NAME, partition.name):
            await drop_partition(connection, partition.name)


def _days(settings: BaseSettings, name: str) -> int:
    days = str(settings.get(name))
    if not (days.isascii() and days.isdecimal() and len(days) < 7):
        raise ConfigurationError(f"{name}={days} is not a number of days (0 to keep all)")
    return int(days)
