"""Records that are no longer listed: those that a crawl of the whole list did not see."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection, sql
from scrapy.crawler import Crawler

from coinspider.crawl.outcome import note_failure, outcome_of
from coinspider.crawl.reasons import Reason, database_reason
from coinspider.crawl.target import CrawlTarget
from coinspider.records.keys import Key, SeenKeys, key_columns
from coinspider.records.table_item import TableItem, primary_key
from coinspider.setting_kinds import number
from coinspider.stats import DELISTED_STAT, RELISTED_STAT
from coinspider.store.connection import CrawlConnection, one_line
from coinspider.store.reconnecting import SESSION_ERRORS
from coinspider.store.schema import identifiers, sql_type
from coinspider.store.session import CrawlSession

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
logger = logging.getLogger(__name__)
_MISSED_MAX = 10_000  # keys kept in a crawl's row


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

    def __init__(self, item_class: type[TableItem], constants: Mapping[str, Any], seen: SeenKeys):
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
    def _key(row: Sequence[Any]) -> Any:
        return tuple(row) if len(row) > 1 else row[0]

    def _sql(self, template: str) -> sql.Composed:
        names = [column.name for column in self.keys]
        path = sql.SQL("key" if len(names) == 1 else "key->{}")
        return sql.SQL(template).format(
            table=sql.Identifier(self.table),
            key=identifiers(names),
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


class Marking:
    """Marks records that are gone as delisted, at the end of a complete crawl of the whole list."""

    # Only for a table whose columns are known.
    delisting: Delisting | None = None
    whole = False

    def __init__(self, crawler: Crawler, session: CrawlSession):
        self.crawler, self.session = crawler, session
        self.share_max = number(crawler.settings, "DELISTED_SHARE_MAX")
        self.is_wanted = True
        """Whether records that a whole crawl does not see may be marked at all."""
        self.only_gone = False
        """Whether each must have been looked for; those that others stored meanwhile were not."""

    def begin(self, target: CrawlTarget) -> None:
        if target.item_class:
            spider: Any = self.crawler.spider
            seen = spider.seen
            self.delisting = Delisting(target.item_class, target.constants, seen)
            self.whole = target.whole

    async def load(self, connection: CrawlConnection) -> None:
        """Read which records are marked."""
        if self.delisting:
            await self.delisting.load(connection)

    async def unseen(self, limit: int) -> Unseen:
        """The first ``limit`` known records that a whole crawl has not seen so far.

        Raises one of ``SESSION_ERRORS``.
        """
        delisting = self.delisting
        if not delisting or not self.whole:
            return Unseen([], 0)
        return await self.session.run(lambda connection: delisting.unseen(connection, limit))

    async def relist(self) -> None:
        """Remove the mark from those that came back."""
        delisting = self.delisting
        if delisting and (back := list(delisting.seen.returned)):
            await self.session.run(lambda connection: delisting.relist(connection, back))
            delisting.seen.awaited.difference_update(back)
            delisting.seen.returned.difference_update(back)
            self.crawler.stats.inc_value(RELISTED_STAT, len(back))

    async def end(self) -> None:
        """Mark the records that are gone, if the crawl is complete."""
        delisting = self.delisting
        if not (delisting and self.whole and self.is_wanted):
            return
        if outcome_of(self.crawler).name != "complete":
            return
        if reason := delisting.seen.incomplete:
            logger.warning("No coin will be marked as delisted: %s", reason)
            return
        try:
            if not self.only_gone or await self._spare_others(delisting):
                await self._mark(delisting)
        except SESSION_ERRORS as error:
            note_failure(self.crawler, database_reason(error, one_line(error)))

    async def _mark(self, delisting: Delisting) -> None:
        moment = datetime.now(UTC)
        delisted = await self.session.run(
            lambda connection: delisting.mark(connection, moment, self.share_max)
        )
        self.crawler.stats.set_value(DELISTED_STAT, delisted.marked)
        if delisted.missing and not delisted.marked:
            self._tell_too_many(delisted)

    def _tell_too_many(self, delisted: Delisted) -> None:
        figures = {
            "missing_count": delisted.missing,
            "known_count": delisted.known,
            "most": f"{self.share_max:g}",
        }
        note_failure(self.crawler, Reason("coins_missing", figures))

    async def _spare_others(self, delisting: Delisting) -> bool:
        """Leave records alone that no call has shown to be gone: paging may just have missed them.

        Returns whether the rest may be marked.
        """
        spider: Any = self.crawler.spider
        missed, total = await self.unseen(_MISSED_MAX)
        spared = [key for key in missed if key not in spider.lookup.gone]
        delisting.seen.add(spared)
        if spider.lookup.is_ignored and spared:
            remark = (
                f"the API ignores requests for certain coins: {total} did not come, and"
                f" {len(spared)} of these are not marked as delisted"
            )
            logger.warning(remark)
            spider.outcome.remark(remark)
        return total == len(missed)
