"""A batch of items into its table, in one statement."""

from collections.abc import Sequence
from functools import cache

from psycopg import AsyncConnection, sql
from psycopg.types.json import Json

from coinspider.exact_json import encode
from coinspider.records.table_item import TableItem, columns, history_columns, primary_key
from coinspider.store.crawl_row import RETURNING_TOTALS, Batch, Totals, fetch_totals
from coinspider.store.schema import sql_type

# WHERE NOT EXISTS keeps what has not changed away from ON CONFLICT, whose WHERE alone would
# still lock and so rewrite each row. ORDER BY gives all crawls the same order of locks.
_UPSERT = """
WITH written AS (
    INSERT INTO {table} AS stored ({columns})
    SELECT {columns} FROM (
        SELECT DISTINCT ON ({key}) *
        FROM ROWS FROM (json_to_recordset(%(items)s::json) AS ({definitions}))
            WITH ORDINALITY AS sent ({columns}, position)
        ORDER BY {key}, {newest_first} position DESC
    ) AS given
    WHERE NOT EXISTS (
        SELECT FROM {table} AS stored WHERE {same_key} AND ({replaces_given}) IS NOT TRUE
    )
    ON CONFLICT ({key}) DO UPDATE SET {assignments} WHERE {replaces_excluded}
    RETURNING xmax = 0 AS inserted {recorded}
){history}
UPDATE crawl SET
    batch_count = %(batch)s,
    inserted_count = inserted_count + (SELECT count(*) FROM written WHERE inserted),
    updated_count = updated_count + (SELECT count(*) FROM written WHERE NOT inserted)
WHERE id = %(crawl_id)s {returning_totals}
"""
_HISTORY = """,
recorded AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM written)
"""


async def upsert(
    connection: AsyncConnection, batch: Batch, items: Sequence[TableItem], history: bool = False
) -> Totals:
    """Insert or update the rows of one batch, all of the same class; note it in the crawl's row.

    A row is replaced only by a newer one, or by one of the same version that knows more, and
    written only if it differs; what is written also goes into the item's history, if there is to
    be one. Raises :exc:`psycopg.Error`; then nothing is written.
    """
    values = {"items": Json(items, dumps=encode), "batch": batch.number, "crawl_id": batch.crawl_id}
    return await fetch_totals(
        await connection.execute(_statement(type(items[0]), history), values, prepare=True)
    )


@cache
def _statement(item_class: type[TableItem], history: bool) -> bytes:
    fields = columns(item_class)
    keys = primary_key(item_class)
    kept = history_columns(item_class) if history and item_class.history_table else []
    return (
        sql.SQL(_UPSERT)
        .format(
            table=sql.Identifier(item_class.table),
            columns=_list([c.name for c in fields]),
            definitions=sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(c.json_key), sql_type(c)) for c in fields
            ),
            key=_list(keys),
            same_key=sql.SQL(" AND ").join(_each(keys, "stored.{0} = given.{0}")),
            newest_first=sql.SQL("").join(_each(_version(item_class), "{0} DESC NULLS LAST, ")),
            assignments=sql.SQL(", ").join(
                _each([c.name for c in fields if not c.primary_key], "{0} = excluded.{0}")
            ),
            returning_totals=sql.SQL(RETURNING_TOTALS),
            recorded=sql.SQL("").join(_each([c.name for c in kept], ", stored.{0}")),
            history=_history(item_class) if kept else sql.SQL(""),
            replaces_given=_replaces(item_class, "given"),
            replaces_excluded=_replaces(item_class, "excluded"),
        )
        .as_bytes()
    )


def _history(item_class: type[TableItem]) -> sql.Composed:
    assert item_class.history_table
    names = _list([column.name for column in history_columns(item_class)])
    return sql.SQL(_HISTORY).format(table=sql.Identifier(item_class.history_table), columns=names)


def _replaces(item_class: type[TableItem], new: str) -> sql.Composable:
    """The condition on which the row ``new`` may replace the stored one."""
    names = [c.name for c in columns(item_class)]
    differs = sql.SQL("({}) IS DISTINCT FROM ({})").format(
        _list(names, "stored"), _list(names, new)
    )
    if not (version := _version(item_class)):
        return differs
    # A column that was added to the table is to be filled, also where the version stays the same.
    fuller = sql.SQL("num_nonnulls({}) > num_nonnulls({})").format(
        _list(names, new), _list(names, "stored")
    )
    [newer] = _each(
        version,
        "{new}.{0} > stored.{0} OR stored.{0} IS NULL AND {differs}"
        " OR {new}.{0} = stored.{0} AND {fuller}",
        new=sql.Identifier(new),
        differs=differs,
        fuller=fuller,
    )
    return newer


def _version(item_class: type[TableItem]) -> list[str]:
    return [c.name for c in columns(item_class) if c.version]


def _each(names: list[str], template: str, **parts: sql.Composable) -> list[sql.Composed]:
    return [sql.SQL(template).format(sql.Identifier(name), **parts) for name in names]


def _list(names: list[str], qualifier: str | None = None) -> sql.Composed:
    prefix = [qualifier] if qualifier else []
    return sql.SQL(", ").join(sql.Identifier(*prefix, name) for name in names)
