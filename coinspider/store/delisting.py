"""Coins that are no longer listed: those that a crawl of all of them did not see."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection, sql

from coinspider.records.record import Record
from coinspider.records.table_item import TableItem, columns
from coinspider.store.schema import sql_type

logger = logging.getLogger(__name__)

_SEEN = "SELECT {seen} FROM json_array_elements(%(keys)s::json) AS key"
_DELISTED = """
SELECT {key} FROM {table} AS stored WHERE delisted_at IS NOT NULL AND {constants}
"""
_RELIST = f"""
WITH seen ({{key}}) AS MATERIALIZED ({_SEEN})
UPDATE {{table}} AS stored SET delisted_at = NULL
FROM seen WHERE {{same_key}} AND {{constants}} AND delisted_at IS NOT NULL
"""  # noqa: S608
_CREATE_SEEN = "CREATE TEMP TABLE coinspider_seen ({definitions}) ON COMMIT DROP"
_ADD_SEEN = f"INSERT INTO coinspider_seen {_SEEN}"
# One statement, so that nobody finds some of them marked; all of them or none.
_DELIST = """
WITH missing AS MATERIALIZED (
    SELECT {key} FROM {table} AS stored
    WHERE {constants} AND delisted_at IS NULL
        AND NOT EXISTS (SELECT FROM coinspider_seen AS seen WHERE {same_key})
),
counted AS MATERIALIZED (
    SELECT (SELECT count(*) FROM missing) AS missing, (
        SELECT count(*) FROM {table} AS stored WHERE {constants} AND delisted_at IS NULL
    ) AS known
),
marked AS (
    UPDATE {table} AS stored SET delisted_at = %(moment)s FROM missing AS seen, counted
    WHERE {same_key} AND {constants}
        AND counted.missing <= counted.known * %(share_max)s::numeric
)
SELECT missing, known FROM counted
"""
# So many batches' keys are sent together.
_BATCHES = 20
_MEMORY = 1024 * 1024  # bytes: the keys of some 60,000 coins
# What is best for a table that was never analysed would here compare each key with each other.
_PLANS = "SET LOCAL enable_nestloop = off"
_MARKED = """
SELECT count(*) FROM {table} AS stored WHERE delisted_at = %(moment)s AND {constants}
"""


class Delisted(NamedTuple):
    """How many known coins a crawl did not see, and how many of these are marked now."""

    missing: int
    known: int
    marked: int


class Delisting:
    """What a crawl sees of the coins that its table has.

    Their keys are kept as JSON, a line a batch; those of many coins in a file, for a crawl's memory
    is not to grow with them. Nothing is kept, and nothing marked, of a record whose key can't be
    read, or of a crawl of some coins.
    """

    def __init__(self, item_class: type[TableItem], constants: Mapping[str, Any], whole: bool):
        keys = [column for column in columns(item_class) if column.primary_key]
        self.keys = [column for column in keys if column.name not in constants]
        self.key = attrgetter(*[column.name for column in self.keys])
        self.constants = {
            column.name: constants[column.name] for column in keys if column.name in constants
        }
        self.table = item_class.table
        self.whole = whole
        self.seen = SpooledTemporaryFile(_MEMORY)  # noqa: SIM115 (close() does it)
        self.delisted: set[Any] = set()

    async def load(self, connection: AsyncConnection) -> None:
        """Learn which coins are marked, to know those that come back."""
        cursor = await connection.execute(self._sql(_DELISTED), self.constants)
        rows = await cursor.fetchall()
        self.delisted = {row if len(self.keys) > 1 else row[0] for row in rows}

    def saw(self, items: Sequence[TableItem]) -> None:
        if self.whole and items:
            self._keep(list(map(self.key, items)))

    def saw_rejected(self, record: Record) -> None:
        """A coin is listed, though its record be bad; which one it is must be known."""
        if not self.whole:
            return
        try:
            fields = json.loads(str(memoryview(record.text), "utf-8", "replace"))
            key = [fields[column.json_key] for column in self.keys]
        except (ValueError, TypeError, KeyError, RecursionError):
            key = [None]
        if all(isinstance(value, str | int) for value in key):
            self._keep([key if len(key) > 1 else key[0]])
        else:
            logger.info("No coin will be marked as delisted: one record does not say whose it is")
            self.whole = False

    def _keep(self, keys: list[Any]) -> None:
        try:
            self.seen.write(msgspec.json.encode(keys)[1:-1] + b"\n")
            self.seen.flush()
        except OSError as error:
            logger.warning("No coin will be marked as delisted, for want of a file: %s", error)
            self.whole = False

    def close(self) -> None:
        self.seen.close()

    def back(self, items: Sequence[TableItem]) -> list[Any]:
        """The keys of those of the items that are marked as delisted."""
        return [key for key in map(self.key, items) if key in self.delisted]

    async def relist(self, connection: AsyncConnection, keys: list[Any]) -> None:
        values = self.constants | {"keys": msgspec.json.encode(keys).decode()}
        await connection.execute(self._sql(_RELIST), values)

    async def mark(
        self, connection: AsyncConnection, moment: datetime, share_max: float
    ) -> Delisted:
        """Mark what was not seen, unless it is more than this share of what is known.

        Done again with the same moment it says the same.
        """
        values = self.constants | {"moment": moment, "share_max": share_max}
        async with connection.transaction():
            await self._send_seen(connection)
            await connection.execute(_PLANS)
            row = await (await connection.execute(self._sql(_DELIST), values)).fetchone()
            marked = await (await connection.execute(self._sql(_MARKED), values)).fetchone()
        assert row
        assert marked
        return Delisted(*row, *marked)

    async def _send_seen(self, connection: AsyncConnection) -> None:
        await connection.execute(self._sql(_CREATE_SEEN))
        self.seen.seek(0)
        while keys := b",".join(islice(self.seen, _BATCHES)):
            await connection.execute(self._sql(_ADD_SEEN), {"keys": f"[{keys.decode()}]"})

    def _sql(self, template: str) -> sql.Composed:
        names = [column.name for column in self.keys]
        path = sql.SQL("key" if len(names) == 1 else "key->{}")
        return sql.SQL(template).format(
            table=sql.Identifier(self.table),
            key=sql.SQL(", ").join(map(sql.Identifier, names)),
            same_key=sql.SQL(" AND ").join(
                sql.SQL("stored.{0} = seen.{0}").format(sql.Identifier(name)) for name in names
            ),
            definitions=sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql_type(column))
                for column in self.keys
            ),
            seen=sql.SQL(", ").join(
                sql.SQL("({} #>> '{{}}')::{}").format(path.format(index), sql_type(column))
                for index, column in enumerate(self.keys)
            ),
            constants=sql.SQL(" AND ").join(
                sql.SQL("stored.{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
                for name in self.constants
            )
            if self.constants
            else sql.SQL("true"),
        )
