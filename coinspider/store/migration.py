"""Creates the tables, and updates those of earlier versions in place.

Columns are only ever added, so a user's own views, indexes and grants stay as they are. The table
``coinspider_schema`` remembers which columns are coinspider's. If it has more than the code knows,
a newer version has been here. During a rolling upgrade both can run side by side, as long as the
newer columns may be omitted.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString

from psycopg import AsyncConnection, errors, sql

from coinspider.errors import ConfigurationError
from coinspider.records.table_item import TableItem
from coinspider.store.foreign_tables import (
    FoundColumn,
    FoundTable,
    check_table,
    find_tables,
    newer_columns,
    probe,
)
from coinspider.store.schema import (
    API_ACCOUNT,
    API_USAGE,
    CANDLE_STATE,
    CRAWL,
    DAEMON_TABLES,
    NEEDED_TEXT,
    NOW,
    REJECTED_RECORD,
    SOURCE_STATE,
    SqlColumn,
    Table,
    history_tables,
    identifiers,
    item_table,
)

# IF NOT EXISTS alone fails when two processes create the same table at the same moment.
SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(hashtext('coinspider schema'))"
# Somebody's long transaction must not block everyone else who wants to read the table.
_BEGIN = f"SET LOCAL lock_timeout = '10s'; {SCHEMA_LOCK}"
SCHEMA = Table(
    "coinspider_schema",
    {
        "table_name": NEEDED_TEXT,
        "columns": SqlColumn("text[]", nullable=False),
        "changed_at": NOW,
    },
    ["table_name"],
)
_OF_CRAWLS = (CRAWL, REJECTED_RECORD, SOURCE_STATE, API_ACCOUNT, API_USAGE)
OWN_TABLES = (SCHEMA, CANDLE_STATE, *_OF_CRAWLS, *DAEMON_TABLES)
"""All but those of records."""
_CURRENT_SCHEMA = "SELECT current_schema()"
_HAS_QUEUE = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL"
_RECORDED = "SELECT table_name, columns FROM coinspider_schema"
_RECORD = """
INSERT INTO coinspider_schema (table_name, columns) VALUES ({}, {})
ON CONFLICT (table_name) DO UPDATE SET columns = excluded.columns, changed_at = now()
"""


async def migrate(
    connection: AsyncConnection, item_class: type[TableItem] | None, history: bool = False
) -> None:
    """Create missing tables and add missing columns; other crawls may do so at the same time.

    The tables of an item's history are included only if a history is kept. Raises
    :exc:`ConfigurationError` for tables of a newer version, for those that adding columns can't
    update, and for those that coinspider did not make: these are left unchanged.
    """
    with _plain_refusal():
        await _migrate_all(connection, _tables(item_class, history))


async def migrate_daemon(connection: AsyncConnection, queue_schema: LiteralString) -> None:
    """The same for scrapyd's tables; ``queue_schema`` makes those of its queue."""
    with _plain_refusal():
        async with connection.transaction():
            await connection.execute(SCHEMA_LOCK)
            row = await (await connection.execute(_HAS_QUEUE)).fetchone()
            if not (row and row[0]):
                await connection.execute(queue_schema)
        await _migrate_all(connection, DAEMON_TABLES)


@contextmanager
def _plain_refusal() -> Iterator[None]:
    try:
        yield
    except errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "the user of DATABASE_URL may not make or change coinspider's tables:"
            f" {error.diag.message_primary}; GRANT it, or set POSTGRES_SCHEMA to a schema of theirs"
        ) from None


async def _migrate_all(connection: AsyncConnection, tables: list[Table]) -> None:
    async with connection.transaction():
        await connection.execute(_BEGIN)
        # All at once: each start asks for them.
        found = await find_tables(connection, [SCHEMA.name, *(table.name for table in tables)])
        recorded: dict[str, set[str]] = {}
        if SCHEMA.name in found:
            check_table(SCHEMA, found[SCHEMA.name], set())
            rows = await connection.execute(_RECORDED)
            recorded = {name: set(columns) for name, columns in await rows.fetchall()}
        else:
            await connection.execute(_create(SCHEMA))
        _check_all(tables, found, recorded)
        missing: dict[str, Table] = {}
        for table in tables:
            if table.name not in found:
                missing.setdefault(table.name, table)
        await make_all(connection, [part for t in missing.values() for part in _making(t)])
        if others := [t for t in tables if missing.get(t.name, t) != t]:  # of the same name
            found |= await find_tables(connection, [table.name for table in others])
            _check_all(others, found, recorded)
        for table in tables:
            if table.name in found:
                known = recorded.get(table.name, set())
                await _migrate(connection, table, found[table.name], known)


def _check_all(
    tables: list[Table], found: Mapping[str, FoundTable], recorded: Mapping[str, set[str]]
) -> None:
    for table in tables:
        if table.name in found:
            check_table(table, found[table.name], recorded.get(table.name, set()))


async def make_all(connection: AsyncConnection, statements: list[sql.Composed]) -> None:
    """Execute statements without parameters in one round trip."""
    if statements:
        await connection.execute(sql.SQL("; ").join(statements))


async def make_schema(connection: AsyncConnection, schema: str | None) -> None:
    """Create ``POSTGRES_SCHEMA`` if it is missing; check that there is a schema for tables.

    Raises :exc:`ConfigurationError`.
    """
    row = await (await connection.execute(_CURRENT_SCHEMA)).fetchone()
    current = row and row[0]
    if not current and schema:
        async with connection.transaction():
            await connection.execute(SCHEMA_LOCK)
            await connection.execute(
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema))
            )
    elif not current or current.startswith("pg_temp"):
        raise ConfigurationError(
            "the search_path of the user of DATABASE_URL leads to no schema for tables: set"
            " POSTGRES_SCHEMA=coinspider, or ALTER ROLE ... SET search_path"
        )


def table_names(item_class: type[TableItem] | None) -> list[str]:
    """The names of all tables that a crawl of such items may use."""
    return [SCHEMA.name, *(table.name for table in _tables(item_class, history=True))]


def _tables(item_class: type[TableItem] | None, history: bool) -> list[Table]:
    tables = list(_OF_CRAWLS)
    if item_class and item_class.table in {table.name for table in OWN_TABLES}:
        raise ConfigurationError(
            f"the table {item_class.table} is coinspider's own, and takes no records of an API"
        )
    if item_class:
        tables.append(item_table(item_class))
    if item_class and history:
        tables += history_tables(item_class)
    return tables


async def _migrate(
    connection: AsyncConnection, table: Table, found: FoundTable, known: set[str]
) -> None:
    """``known`` are the columns that coinspider gave it."""
    added = await _add_columns(connection, table, found.columns)
    if found.may_swallow:
        await probe(connection, table)
    if added:
        await make_all(connection, _indexes(table))
    recording = [*table.columns, *newer_columns(table, found, known)]
    if known != set(recording):
        await connection.execute(_record(table, recording))


def _making(table: Table) -> list[sql.Composed]:
    return [_create(table), *_indexes(table), _record(table, list(table.columns))]


def _indexes(table: Table) -> list[sql.Composed]:
    return [sql.Composed([sql.SQL(index)]) for index in table.indexes]


def _record(table: Table, names: list[str]) -> sql.Composed:
    return sql.SQL(_RECORD).format(sql.Literal(table.name), sql.Literal(names))


async def _add_columns(
    connection: AsyncConnection, table: Table, found: Mapping[str, FoundColumn]
) -> bool:
    """Also drop NOT NULL from columns whose field is no longer required; return whether any were
    added.
    """
    changes = [
        sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(name), column.for_old_rows().definition())
        for name, column in table.columns.items()
        if name not in found
    ]
    changes += [
        sql.SQL("ALTER COLUMN {} SET DEFAULT {}").format(
            sql.Identifier(name), sql.SQL(column.default)
        )
        for name, column in table.columns.items()
        if column.since_added and column.default and name not in found
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
    return not table.columns.keys() <= found.keys()


def _create(table: Table) -> sql.Composed:
    return sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({})) {}").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), column.definition())
            for name, column in table.columns.items()
        ),
        identifiers(table.primary_key),
        sql.SQL(table.options),
    )
