"""Records that are no longer listed: those that a crawl of the whole list did not see."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection, sql

from coinspider.records.keys import Key, SeenKeys, key_columns
from coinspider.records.table_item import TableItem, primary_key
from coinspider.store.schema import all_of, each, identifiers, sql_type

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
_UNSEEN = """
SELECT {key}, count(*) OVER () FROM {table} AS stored
WHERE {constants} AND delisted_at IS NULL
    AND NOT EXISTS (SELECT FROM coinspider_seen AS seen WHERE {same_key})
ORDER BY {key} LIMIT %(limit)s
"""
# One statement, so that either all of them are marked or none.
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
# How many pages of keys are sent together.
_PAGES = 40
# For a table that was never analysed, PostgreSQL would choose to compare every key with every
# other.
_PLANS = "SET LOCAL enable_nestloop = off"
_MARKED = """
SELECT count(*) FROM {table} AS stored WHERE delisted_at = %(moment)s AND {constants}
"""


class Delisted(NamedTuple):
    """How many known coins a crawl did not see, and how many of these it marked."""

    missing: int
    known: int
    marked: int


class Unseen(NamedTuple):
    """Known coins that a crawl did not see: some of their keys, and how many there are."""

    keys: list[Key]
    total: int


class Delisting:
    """Finds which coins in the table a crawl did not see, and which came back."""

    def __init__(
        self, item_class: type[TableItem], constants: Mapping[str, object], seen: SeenKeys
    ):
        self.keys = key_columns(item_class, constants)
        self.constants = {
            name: constants[name] for name in primary_key(item_class) if name in constants
        }
        self.table = item_class.table
        self.seen = seen

    async def load(self, connection: AsyncConnection) -> None:
        """Read which coins are marked, to recognise those that come back."""
        cursor = await connection.execute(self._sql(_DELISTED), self.constants)
        self.seen.awaited = {self._key(row) for row in await cursor.fetchall()}

    async def relist(self, connection: AsyncConnection, keys: Sequence[Key]) -> None:
        values = self.constants | {"keys": msgspec.json.encode(keys).decode()}
        await connection.execute(self._sql(_RELIST), values)

    async def unseen(self, connection: AsyncConnection, limit: int) -> Unseen:
        """The keys of the first ``limit`` known coins that were not seen."""
        async with self._seen_table(connection):
            cursor = await connection.execute(self._sql(_UNSEEN), self.constants | {"limit": limit})
            rows = await cursor.fetchall()
        return Unseen([self._key(row[:-1]) for row in rows], rows[0][-1] if rows else 0)

    async def mark(
        self, connection: AsyncConnection, moment: datetime, share_max: float
    ) -> Delisted:
        """Mark the coins that were not seen, unless they are more than this share of the known
        ones.

        Repeating it with the same time gives the same result.
        """
        values = self.constants | {"moment": moment, "share_max": share_max}
        async with self._seen_table(connection):
            row = await (await connection.execute(self._sql(_DELIST), values)).fetchone()
            marked = await (await connection.execute(self._sql(_MARKED), values)).fetchone()
        assert row
        assert marked
        return Delisted(*row, *marked)

    @asynccontextmanager
    async def _seen_table(self, connection: AsyncConnection) -> AsyncIterator[None]:
        async with connection.transaction():
            await connection.execute(self._sql(_CREATE_SEEN))
            lines = self.seen.read()
            while keys := b",".join(islice(lines, _PAGES)):
                await connection.execute(self._sql(_ADD_SEEN), {"keys": f"[{keys.decode()}]"})
            await connection.execute(_PLANS)
            yield

    @staticmethod
    def _key(row: Sequence[object]) -> Any:
        return tuple(row) if len(row) > 1 else row[0]

    def _sql(self, template: str) -> sql.Composed:
        names = [column.name for column in self.keys]
        path = sql.SQL("key" if len(names) == 1 else "key->{}")
        return sql.SQL(template).format(
            table=sql.Identifier(self.table),
            key=identifiers(names),
            same_key=each("stored.{0} = seen.{0}", names, " AND "),
            definitions=sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql_type(column))
                for column in self.keys
            ),
            seen=sql.SQL(", ").join(
                sql.SQL("({} #>> '{{}}')::{}").format(path.format(index), sql_type(column))
                for index, column in enumerate(self.keys)
            ),
            constants=all_of(each("stored.{0} = {1}", [name]) for name in self.constants),
        )
