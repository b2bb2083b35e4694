"""The item class for a table that an earlier crawl made."""

from psycopg import AsyncConnection

from coinspider.records.column_types import stored_type
from coinspider.records.inferred_item import make_item_class
from coinspider.records.table_item import TableItem

_STORED_TYPES = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_STORED_KEYS = """
SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
WHERE indisprimary AND indrelid = to_regclass(quote_ident(%s))
ORDER BY array_position(indkey::int2[], attnum)
"""


async def stored_item_class(connection: AsyncConnection, table: str) -> type[TableItem] | None:
    """An item class for a table that an earlier crawl made; ``None`` if there is none.

    Fields whose column has an unknown type go to ``extra``.
    """
    keys = await (await connection.execute(_STORED_KEYS, [table])).fetchall()
    types = await (await connection.execute(_STORED_TYPES, [table])).fetchall()
    known = {name: column_type for name, sql in types if (column_type := stored_type(sql))}
    return make_item_class(table, [key for (key,) in keys], known) if keys else None
