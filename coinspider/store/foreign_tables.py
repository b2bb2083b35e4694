"""Tables that others made or changed: whether they can take what a crawl writes.

What is wrong with them would otherwise fail row by row, or go unnoticed: a rule or a trigger can
discard a row silently.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import AsyncConnection, errors, sql

from coinspider.errors import ConfigurationError
from coinspider.records.table_item import TableItem, stored_type
from coinspider.store.schema import Table, identifiers

# https://www.postgresql.org/docs/current/catalog-pg-class.html; of pg_trigger's bits 1 is for each
# row, 2 before, 4 insert, 16 update.
_TABLES = """
SELECT name, relkind::text,
       has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
           AND has_table_privilege(oid, 'UPDATE'),
       EXISTS (
           SELECT FROM pg_rewrite
           WHERE ev_class = class.oid AND ev_type IN ('2', '3') AND ev_enabled <> 'D'
       ),
       row_security_active(oid) OR EXISTS (
           SELECT FROM pg_trigger WHERE tgrelid = class.oid AND NOT tgisinternal
               AND tgenabled <> 'D' AND tgtype & 3 = 3 AND tgtype & 20 <> 0
       ),
       (SELECT coalesce(jsonb_agg(names), '[]') FROM (
           SELECT (
               SELECT jsonb_agg(attname) FROM pg_attribute
               WHERE attrelid = indrelid AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
           ) AS names
           FROM pg_index WHERE indrelid = class.oid AND indisunique AND indisvalid
               AND indimmediate AND indpred IS NULL AND indexprs IS NULL
       ) AS keys)
FROM unnest(%s::text[]) AS wanted (name)
    JOIN pg_class AS class ON oid = to_regclass(quote_ident(name))
"""
_COLUMNS = """
SELECT name, attname, format_type(atttypid, atttypmod), attnotnull,
       atthasdef OR attidentity <> '', attgenerated <> '' OR attidentity = 'a'
FROM unnest(%s::text[]) AS wanted (name)
    JOIN pg_attribute ON attrelid = to_regclass(quote_ident(name))
WHERE attnum > 0 AND NOT attisdropped
"""
logger = logging.getLogger(__name__)
_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "i": "index",
    "I": "index",
    "c": "type",
}
KEEP_APART = "rename it, or set POSTGRES_SCHEMA to a schema for coinspider's tables alone"
# Wider types that a user may have given a column.
_WIDER = {
    "integer": ("bigint", "numeric"),
    "smallint[]": ("integer[]", "bigint[]"),
    "bigint": ("numeric",),
    "text": ("character varying",),
}
_SAMPLES: dict[str, LiteralString] = {
    "text": "'coinspider probe'",
    "boolean": "false",
    "timestamp with time zone": "now()",
    **dict.fromkeys(("numeric", "bigint", "integer", "double precision"), "0"),
    **dict.fromkeys(("jsonb", "text[]", "numeric[]", "smallint[]"), "'{}'"),
}
_PROBE = "INSERT INTO {table} ({columns}) VALUES ({values}) RETURNING {key}"
_PROBE_UPDATE = "UPDATE {table} SET {column} = {column} WHERE ({key}) = ({values})"
_HAS_POLICIES = "SELECT row_security_active(to_regclass(quote_ident(%s)))"
_STORED_TYPES = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_STORED_KEYS = """
SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indisprimary AND indrelid = to_regclass(quote_ident(%s))
ORDER BY array_position(indkey::int2[], attnum)
"""


class FoundColumn(NamedTuple):
    """A column as the database has it."""

    name: str
    type: str
    not_null: bool
    has_default: bool
    is_generated: bool

    @property
    def is_needed(self) -> bool:
        """Whether each new row must give a value for it."""
        return self.not_null and not self.has_default


class FoundTable(NamedTuple):
    """What the database has under a table's name."""

    kind: str
    may_write: bool
    has_rules: bool
    may_swallow: bool
    unique_keys: list[list[str]]
    columns: Mapping[str, FoundColumn]


async def find_tables(connection: AsyncConnection, names: Iterable[str]) -> dict[str, FoundTable]:
    """Those that are there, by their names."""
    wanted = [list(names)]
    columns: dict[str, dict[str, FoundColumn]] = {}
    for table, *row in await (await connection.execute(_COLUMNS, wanted)).fetchall():
        column = FoundColumn._make(row)
        columns.setdefault(table, {})[column.name] = column
    rows = await (await connection.execute(_TABLES, wanted)).fetchall()
    return {name: FoundTable._make([*row, columns.get(name, {})]) for name, *row in rows}


def newer_columns(table: Table, found: FoundTable, recorded: set[str]) -> list[str]:
    """The columns of a newer coinspider, which this one does not know."""
    return sorted(recorded & found.columns.keys() - table.columns.keys())


def check_table(table: Table, found: FoundTable, recorded: set[str]) -> None:
    """Raises :exc:`ConfigurationError`, one line that says what to do.

    ``recorded`` are the columns that coinspider made, as recorded in the database.
    """
    wanted = "p" if table.is_partitioned else "r"
    if found.kind != wanted:
        raise ConfigurationError(
            f"{table.name} is a {_KINDS.get(found.kind, 'relation')}, where a {_KINDS[wanted]} is"
            f" needed: {KEEP_APART}"
        )
    _check_newer(table, found, recorded)
    if not recorded and (missing := sorted(table.first_columns - found.columns.keys())):
        raise ConfigurationError(
            f"the table {table.name} is not coinspider's, as it has no column"
            f" {', '.join(missing)}: {KEEP_APART}"
        )
    if missing := [name for name in table.primary_key if name not in found.columns]:
        raise ConfigurationError(
            f"the primary key of the table {table.name} can't get the column {', '.join(missing)}:"
            " rename the table, and a new one will be made"
        )
    _check_columns(table, found)
    if not any(set(key) == set(table.primary_key) for key in found.unique_keys):
        raise ConfigurationError(
            f"the table {table.name} has no primary key of {', '.join(table.primary_key)}, which"
            f" tells its rows apart: add one, or {KEEP_APART}"
        )
    if not found.may_write:
        raise ConfigurationError(
            f"the table {table.name} may not be written to: GRANT SELECT, INSERT, UPDATE on it to"
            " the user of DATABASE_URL"
        )
    if found.has_rules:
        raise ConfigurationError(
            f"the table {table.name} has a rule, which may swallow rows: DROP RULE, and use a"
            " trigger instead"
        )


def _check_newer(table: Table, found: FoundTable, recorded: set[str]) -> None:
    newer = newer_columns(table, found, recorded)
    if needed := [name for name in newer if found.columns[name].is_needed]:
        raise ConfigurationError(
            f"the table {table.name} belongs to a newer coinspider, which needs the column"
            f" {', '.join(needed)}: update this one; or, if the field was taken out on purpose,"
            f" DROP the column"
        )
    if newer:
        logger.warning(
            "A newer coinspider has been here: this one leaves %s of the table %s as it is",
            ", ".join(newer),
            table.name,
        )


def _check_columns(table: Table, found: FoundTable) -> None:
    for name, column in table.columns.items():
        there, this = found.columns.get(name), f"the column {name} of the table {table.name}"
        if there and not holds(there.type, column.type):
            raise ConfigurationError(
                f"{this} is {there.type}, where {column.type} is needed: ALTER its type, or rename"
                " the table, and a new one will be made"
            )
        if there and column.is_identity and not there.has_default:
            raise ConfigurationError(
                f"{this} does not number the rows: make it GENERATED ALWAYS AS IDENTITY, or"
                f" {KEEP_APART}"
            )
        if there and there.is_generated and not column.is_identity:
            raise ConfigurationError(
                f"{this} is generated, where a crawl has to write it: DROP EXPRESSION, or"
                f" {KEEP_APART}"
            )
    for name in sorted(found.columns.keys() - table.columns.keys()):
        own = found.columns[name]
        if own.is_needed:
            raise ConfigurationError(
                f"the table {table.name} has a column {name} of your own that may not be null:"
                " give it a DEFAULT, or DROP NOT NULL"
            )


def holds(found: str, needed: str) -> bool:
    """Whether a column of type ``found`` holds every value of ``needed`` unchanged."""
    return found == needed or found in _WIDER.get(needed, ())


async def probe(connection: AsyncConnection, table: Table) -> None:
    """Write a row, to see whether it is discarded, and roll back.

    A row that fails with an error proves nothing: a user's constraint may have caused it, or a
    policy that only concerns other rows. A crawl's own rows would fail with it, and be told.
    """
    needed = {
        name: sql.SQL(_SAMPLES[column.type])
        for name, column in table.columns.items()
        if not column.is_identity and (name in table.primary_key or not column.nullable)
    }
    names = {
        "table": sql.Identifier(table.name),
        "key": identifiers(table.primary_key),
        "columns": identifiers(needed),
        "values": sql.SQL(", ").join(needed.values()),
        "column": sql.Identifier(list(needed)[-1]),
    }
    try:
        async with connection.transaction(force_rollback=True):
            written = await connection.execute(sql.SQL(_PROBE).format(**names))
            key = await written.fetchone()
            if key:
                update = sql.SQL(_PROBE_UPDATE).format(
                    **names | {"values": sql.SQL(", ").join(map(sql.Literal, key))}
                )
                written = await connection.execute(update)
    except errors.InsufficientPrivilege as error:
        found = await connection.execute(_HAS_POLICIES, [table.name])
        if await found.fetchone() == (True,):
            return
        raise ConfigurationError(
            f"the table {table.name} refuses rows: {error.diag.message_primary}"
        ) from None
    except (psycopg.DataError, psycopg.IntegrityError, errors.RaiseException):
        return
    if not written.rowcount:
        raise ConfigurationError(
            f"a trigger or a policy of the table {table.name} swallows rows: let it return the row"
            f" (RETURN NEW), or {KEEP_APART}"
        )


async def stored_item_class(connection: AsyncConnection, table: str) -> type[TableItem] | None:
    """An item class for a table that an earlier crawl made; ``None`` if there is none.

    Fields whose column has an unknown type go to ``extra``.
    """
    from coinspider.records.inferred_item import make_item_class  # not for tables of our own

    keys = await (await connection.execute(_STORED_KEYS, [table])).fetchall()
    types = await (await connection.execute(_STORED_TYPES, [table])).fetchall()
    known = {name: column_type for name, sql in types if (column_type := stored_type(sql))}
    return make_item_class(table, [key for (key,) in keys], known) if keys else None
