"""What the database has under the names of tables."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from psycopg import AsyncConnection

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
