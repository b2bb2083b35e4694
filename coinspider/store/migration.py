"""Makes the tables, and brings those of earlier versions up to date, in place.

Columns are only ever added, so a user's own views, indexes and grants stay as they are. The table
``coinspider_schema`` remembers which columns are coinspider's: a database that has more of them
than the code knows belongs to a newer version.
"""

from typing import NamedTuple

from psycopg import AsyncConnection, sql

from coinspider.errors import ConfigurationError
from coinspider.records.table_item import TableItem
from coinspider.store.schema import (
    CRAWL,
    NEEDED_TEXT,
    NOW,
    REJECTED_RECORD,
    SOURCE_STATE,
    SqlColumn,
    Table,
    history_tables,
    item_table,
)

# IF NOT EXISTS alone fails when two processes create the same table at the same moment.
SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(hashtext('coinspider schema'))"
# Somebody's long transaction must not hold up all others that want to read the table.
_PATIENCE = "SET LOCAL lock_timeout = '10s'"
SCHEMA = Table(
    "coinspider_schema",
    {
        "table_name": NEEDED_TEXT,
        "columns": SqlColumn("text[]", nullable=False),
        "changed_at": NOW,
    },
    ["table_name"],
)
_FOUND = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped
"""
# Types that a user may have put in the place of another.
_WIDER = {
    "integer": ("bigint", "numeric"),
    "bigint": ("numeric",),
    "text": ("character varying",),
}
_RECORDED = "SELECT columns FROM coinspider_schema WHERE table_name = %s"
_RECORD = """
INSERT INTO coinspider_schema (table_name, columns) VALUES (%s, %s)
ON CONFLICT (table_name) DO UPDATE SET columns = excluded.columns, changed_at = now()
"""


class FoundColumn(NamedTuple):
    """A column as the database has it."""

    name: str
    type: str
    not_null: bool


async def migrate(
    connection: AsyncConnection, item_class: type[TableItem] | None, history: bool = False
) -> None:
    """Create the tables that are missing and add the columns that are; others may do so at once.

    The tables of an item's history are among them only if there is to be a history. Raises
    :exc:`ConfigurationError` for tables of a newer version, and for those that can't be brought up
    to date by adding columns.
    """
    async with connection.transaction():
        await connection.execute(SCHEMA_LOCK)
        await connection.execute(_PATIENCE)
        if not await _found(connection, SCHEMA):
            await connection.execute(_create(SCHEMA))
        for table in _tables(item_class, history):
            await _migrate(connection, table)


def table_names(item_class: type[TableItem] | None) -> list[str]:
    """The names of all tables that a crawl of such items may use."""
    return [SCHEMA.name, *(table.name for table in _tables(item_class, history=True))]


def _tables(item_class: type[TableItem] | None, history: bool) -> list[Table]:
    tables = [CRAWL, REJECTED_RECORD, SOURCE_STATE]
    if item_class:
        tables.append(item_table(item_class))
    if item_class and history:
        tables += history_tables(item_class)
    return tables


async def _migrate(connection: AsyncConnection, table: Table) -> None:
    found = await _found(connection, table)
    recorded = await (await connection.execute(_RECORDED, [table.name])).fetchone()
    known = set(recorded[0]) if recorded else set()
    if found:
        _check(table, found, known)
        await _add_columns(connection, table, found)
    else:
        await connection.execute(_create(table))
    if known != set(table.columns):
        await connection.execute(_RECORD, [table.name, list(table.columns)])


async def _found(connection: AsyncConnection, table: Table) -> dict[str, FoundColumn]:
    rows = await (await connection.execute(_FOUND, [table.name])).fetchall()
    return {row[0]: FoundColumn(*row) for row in rows}


def _check(table: Table, found: dict[str, FoundColumn], recorded: set[str]) -> None:
    if newer := sorted(recorded & found.keys() - table.columns.keys()):
        raise ConfigurationError(
            f"the table {table.name} belongs to a newer coinspider, which knows the column"
            f" {', '.join(newer)}: update this one; or, if the field was taken out on purpose,"
            f" DROP the column"
        )
    if missing := [name for name in table.primary_key if name not in found]:
        raise ConfigurationError(
            f"the primary key of the table {table.name} can't get the column {', '.join(missing)}:"
            " rename the table, and a new one will be made"
        )
    for name, column in table.columns.items():
        if name in found and not holds(found[name].type, column.type):
            raise ConfigurationError(
                f"the column {name} of the table {table.name} is {found[name].type}, where"
                f" {column.type} is needed: ALTER its type, or rename the table, and a new one"
                " will be made"
            )


def holds(found: str, needed: str) -> bool:
    """Whether a column of the type ``found`` holds each value of ``needed``, none of it changed."""
    return found == needed or found in _WIDER.get(needed, ())


async def _add_columns(
    connection: AsyncConnection, table: Table, found: dict[str, FoundColumn]
) -> None:
    """Also let be empty what was once required, as a field of the item that no longer is."""
    changes = [
        sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), column.for_old_rows().definition())
        for name, column in table.columns.items()
        if name not in found
    ]
    changes += [
        sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(name))
        for name, column in table.columns.items()
        if column.nullable
        and name in found
        and found[name].not_null
        and name not in table.primary_key
    ]
    if changes:
        alter = sql.SQL("ALTER TABLE {} ").format(sql.Identifier(table.name))
        await connection.execute(alter + sql.SQL(", ").join(changes))
    for name, fill in table.fill.items():
        if name not in found:
            await connection.execute(fill)


def _create(table: Table) -> sql.Composed:
    return sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({})) {}").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), column.definition())
            for name, column in table.columns.items()
        ),
        sql.SQL(", ").join(map(sql.Identifier, table.primary_key)),
        sql.SQL(table.options),
    )
