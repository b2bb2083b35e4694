"""A batch of items into its table, in one statement."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from psycopg import sql
from psycopg.types.json import Json

from coinspider.records.table_item import TableItem, columns, history_columns, primary_key
from coinspider.store.connection import CrawlConnection
from coinspider.store.crawl import DONE, HELD, IF_HELD, NOTE, Batch, Totals
from coinspider.store.schema import each, identifiers, sql_type
from coinspider.text import exact_json

# Rows that are older or the same are kept away from ON CONFLICT, whose WHERE alone would still
# lock and so rewrite each row. ORDER BY gives all crawls the same order of locks. The names with #
# can't be those of an item's fields. OFFSET 0 keeps the lookup of stored rows from becoming a join:
# each is found by its key, and the table is never read as a whole.
_UPSERT = """
WITH {held}, given AS (
    SELECT DISTINCT ON ({key}) *
    FROM ROWS FROM (json_to_recordset(%(items)s::json) AS ({definitions}))
        WITH ORDINALITY AS sent ({columns}, "#position")
    WHERE EXISTS (SELECT FROM held)
    ORDER BY {key}, {newest_first} "#position" DESC
),
compared AS MATERIALIZED (
    SELECT given.*, ({given_is_older}) IS TRUE AS "#older", NOT ({given_differs}) AS "#same"
    FROM given LEFT JOIN LATERAL (
        SELECT * FROM {table} AS stored WHERE {same_key} OFFSET 0
    ) AS stored ON true
),
written AS (
    INSERT INTO {table} AS stored ({columns})
    SELECT {columns} FROM compared WHERE NOT "#older" AND NOT "#same"
    ON CONFLICT ({key}) DO UPDATE SET {assignments}
    WHERE {excluded_differs} AND ({excluded_is_older}) IS NOT TRUE
    RETURNING xmax = 0 AS "#inserted", {returned}
){history},
{done}
{note}, {counts} {if_held},
    CASE WHEN (SELECT count(*) FROM compared WHERE NOT "#older" AND NOT "#same")
            > (SELECT count(*) FROM written)
        THEN ARRAY(
            SELECT "#position" - 1 FROM compared WHERE NOT "#older" AND NOT "#same"
                AND NOT EXISTS (SELECT FROM written WHERE {written_key})
        )
        ELSE ARRAY[]::bigint[]
    END
"""
# PostgreSQL keeps the plan of a prepared statement from its sixth execution on. After fewer items
# the table may be so small that the plan reads all of it for each item, also when it has grown.
_PREPARED_FROM = 100
_HISTORY = """,
recorded AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM written)
"""
_COUNTS = """
    inserted_count = inserted_count + (SELECT count(*) FROM written WHERE "#inserted"),
    updated_count = updated_count + (SELECT count(*) FROM written WHERE NOT "#inserted"),
    unchanged_count = unchanged_count
        + (SELECT count(*) FROM compared WHERE "#same" AND NOT "#older"),
    older_count = older_count + (SELECT count(*) FROM compared WHERE "#older"),
    repeated_count = repeated_count + %(sent)s - (SELECT count(*) FROM compared)
"""
_COUNTS_OF_REPEATED = "repeated_count = repeated_count + %(sent)s"
_COUNT_OF_FUTURE = """,
    future_count = future_count + (
        SELECT count(*) FROM compared WHERE {0} > now() + interval '1 day'
    )
"""
# A version more than a day in the future is a fault, so later records may replace it.
_IS_OLDER = "{new}.{0} < stored.{0} AND stored.{0} <= now() + interval '1 day'"


class Upserted(NamedTuple):
    """The outcome of a batch."""

    totals: Totals
    left: list[int]
    """The positions of the items that the table did not take although they are new or changed:
    because of a user's trigger, or because another crawl wrote the same row at that moment.
    """


class Statement(NamedTuple):
    """Which variant of the statement a batch needs."""

    item_class: type[TableItem]
    history: bool = False
    repeated: bool = False
    """Whether all items of the batch repeat what the same crawl has sent already."""


async def upsert(
    connection: CrawlConnection,
    batch: Batch,
    items: Sequence[TableItem],
    history: bool = False,
    repeated: bool = False,
) -> Upserted | None:
    """Insert or update the rows of one batch, all of the same class; note it in the crawl's row.

    A row is held back only by a stored one of a newer version, and written only if it differs; what
    is written also goes into the item's history, if there is to be one. ``None`` if the batch
    was written before, or the crawl has lost its lease. Raises :exc:`psycopg.Error`; then nothing
    is written.
    """
    values = {"items": Json(items, dumps=exact_json), "sent": len(items), **batch.values}
    statement = _statement(Statement(type(items[0]), history, repeated))
    prepare = len(items) >= _PREPARED_FROM
    done = await connection.execute_alone(statement, values, prepare)
    row = await done.fetchone()
    if row is None:
        return None
    *totals, left = row
    return Upserted(Totals(*totals), left)


@cache
def _statement(wanted: Statement) -> bytes:
    item_class = wanted.item_class
    fields = columns(item_class)
    keys = primary_key(item_class)
    version = [c.name for c in fields if c.version]
    is_kept = wanted.history and item_class.history_table
    kept = [c.name for c in history_columns(item_class)] if is_kept else []
    return (
        sql.SQL(_UPSERT)
        .format(
            table=sql.Identifier(item_class.table),
            columns=identifiers([c.name for c in fields]),
            definitions=sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(c.json_key), sql_type(c)) for c in fields
            ),
            key=identifiers(keys),
            same_key=each("stored.{0} = given.{0}", keys, " AND "),
            written_key=each("written.{0} = compared.{0}", keys, " AND "),
            newest_first=each("{0} DESC NULLS LAST, ", version, ""),
            given_is_older=_is_older(version, "given"),
            given_differs=_differs(item_class, "given"),
            excluded_is_older=_is_older(version, "excluded"),
            excluded_differs=_differs(item_class, "excluded"),
            assignments=each("{0} = excluded.{0}", [c.name for c in fields if not c.primary_key]),
            returned=identifiers(list(dict.fromkeys([*keys, *kept])), "stored"),
            history=_history(item_class, kept) if kept else sql.SQL(""),
            counts=_counts(version, wanted.repeated),
            held=sql.SQL(HELD),
            done=sql.SQL(DONE),
            note=sql.SQL(NOTE),
            if_held=sql.SQL(IF_HELD),
        )
        .as_bytes()
    )


def _history(item_class: type[TableItem], names: list[str]) -> sql.Composed:
    assert item_class.history_table
    return sql.SQL(_HISTORY).format(
        table=sql.Identifier(item_class.history_table), columns=identifiers(names)
    )


def _counts(version: list[str], repeated: bool) -> sql.Composable:
    if repeated:
        return sql.SQL(_COUNTS_OF_REPEATED)
    return sql.SQL(_COUNTS) + each(_COUNT_OF_FUTURE, version, "")


def _differs(item_class: type[TableItem], new: str) -> sql.Composed:
    names = [c.name for c in columns(item_class)]
    return sql.SQL("({}) IS DISTINCT FROM ({})").format(
        identifiers(names, "stored"), identifiers(names, new)
    )


def _is_older(version: list[str], new: str) -> sql.Composable:
    """Never true if the item has no version."""
    older = each(_IS_OLDER, version, " AND ", new=sql.Identifier(new))
    return older if version else sql.SQL("false")
