"""Whether a table keeps the rows that are written to it.

A rule or a trigger can discard a row silently.
"""

from typing import LiteralString

import psycopg
from psycopg import AsyncConnection, errors, sql

from coinspider.errors import ConfigurationError
from coinspider.store.definition import Table
from coinspider.store.sql_names import identifiers
from coinspider.store.table_check import KEEP_APART

_SAMPLES: dict[str, LiteralString] = {
    "text": "'coinspider probe'", "numeric": "0", "bigint": "0", "integer": "0",
    "double precision": "0", "boolean": "false", "timestamp with time zone": "now()",
    "jsonb": "'{}'", "text[]": "'{}'", "numeric[]": "'{}'", "smallint[]": "'{}'",
}  # fmt: skip
_PROBE = "INSERT INTO {table} ({columns}) VALUES ({values}) RETURNING {key}"
_PROBE_UPDATE = "UPDATE {table} SET {column} = {column} WHERE ({key}) = ({values})"


async def probe(connection: AsyncConnection, table: Table) -> None:
    """Write a row, to see whether it is discarded, and roll back.

    A row that fails with an error proves nothing: a user's constraint may have caused it.
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
