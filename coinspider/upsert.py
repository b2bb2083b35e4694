"""A batch of items into its table, in one statement."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import msgspec
import psycopg
from psycopg import AsyncConnection, sql

from coinspider.schema import sql_type
from coinspider.table_item import TableItem, columns, primary_key

encode = msgspec.json.Encoder(decimal_format="number").encode

# Data exception, integrity constraint, program limit: the row is at fault, not the server.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ROW_AT_FAULT = ("22", "23", "54")

# WHERE NOT EXISTS keeps what has not changed away from ON CONFLICT, whose WHERE alone would
# still lock and so rewrite each row. ORDER BY gives all crawls the same order of locks.
_UPSERT = """
WITH written AS (
    INSERT INTO {table} AS stored ({columns})
    SELECT {columns} FROM (
        SELECT DISTINCT ON ({key}) *
        FROM ROWS FROM (json_to_recordset(%s::json) AS ({definitions}))
            WITH ORDINALITY AS sent ({columns}, position)
        ORDER BY {key}, {newest_first} position DESC
    ) AS given
    WHERE NOT EXISTS (
        SELECT FROM {table} AS stored WHERE {same_key} AND ({replaces_given}) IS NOT TRUE
    )
    ON CONFLICT ({key}) DO UPDATE SET {assignments} WHERE {replaces_excluded}
    RETURNING xmax = 0 AS inserted
)
SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM written
"""


class Written(NamedTuple):
    """What became of a batch: rows, and the items that the server refused, each with why."""

    inserted: int
    updated: int
    unchanged: int
    refused: list[tuple[TableItem, str]]

    def plus(self, other: "Written") -> "Written":
        return Written(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.refused + other.refused,
        )


async def upsert(connection: AsyncConnection, items: Sequence[TableItem]) -> Written:
    """Insert or update the rows of one batch, all of the same class.

    A row is replaced only by a newer one, and written only if it differs. A batch that the
    server refuses is halved until the row at fault is found. Raises :exc:`psycopg.Error` for
    what is not a row's fault.
    """
    try:
        cursor = await connection.execute(
            _statement(type(items[0])), [encode(items).decode()], prepare=True
        )
        inserted, updated = await cursor.fetchone() or (0, 0)
        return Written(inserted, updated, len(items) - inserted - updated, [])
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith(_ROW_AT_FAULT):
            raise
        if len(items) == 1:
            return Written(0, 0, 0, [(items[0], f"PostgreSQL: {error.diag.message_primary}")])
    middle = len(items) // 2
    written = await upsert(connection, items[:middle])
    return written.plus(await upsert(connection, items[middle:]))


@cache
def _statement(item_class: type[TableItem]) -> bytes:
    fields = columns(item_class)
    keys = primary_key(item_class)
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
            replaces_given=_replaces(item_class, "given"),
            replaces_excluded=_replaces(item_class, "excluded"),
        )
        .as_bytes()
    )


def _replaces(item_class: type[TableItem], new: str) -> sql.Composable:
    """The condition on which the row ``new`` may replace the stored one."""
    names = [c.name for c in columns(item_class)]
    differs = sql.SQL("({}) IS DISTINCT FROM ({})").format(
        _list(names, "stored"), _list(names, new)
    )
    if not (version := _version(item_class)):
        return differs
    [newer] = _each(version, "{new}.{0} > stored.{0} OR stored.{0} IS NULL AND ", new=new)
    return newer + differs


def _version(item_class: type[TableItem]) -> list[str]:
    return [c.name for c in columns(item_class) if c.version]


def _each(names: list[str], template: str, **qualifiers: str) -> list[sql.Composed]:
    identifiers = {key: sql.Identifier(value) for key, value in qualifiers.items()}
    return [sql.SQL(template).format(sql.Identifier(name), **identifiers) for name in names]


def _list(names: list[str], qualifier: str | None = None) -> sql.Composed:
    prefix = [qualifier] if qualifier else []
    return sql.SQL(", ").join(sql.Identifier(*prefix, name) for name in names)
