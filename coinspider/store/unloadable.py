"""Values that PostgreSQL has but Python doesn't, read as PostgreSQL's text for them."""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader


class AnyTimeLoader(TimestamptzLoader):
    """``infinity``, a time before year 1 or after 9999: a string."""

    def load(self, data: Buffer) -> Any:
        try:
            return super().load(data)
        except psycopg.DataError:
            return bytes(data).decode()


def fetch_all(
    connection: Connection, query: sql.SQL | sql.Composed, values: Mapping[str, Any]
) -> tuple[list[str], list[Any]]:
    """The column names and the rows, whatever they contain."""
    cursor = connection.execute(query, values)
    try:
        rows = cursor.fetchall()
    except psycopg.DataError:
        # Only if needed: psycopg's own loader is several times as fast.
        connection.adapters.register_loader("timestamptz", AnyTimeLoader)
        cursor = connection.execute(query, values)
        rows = cursor.fetchall()
    return [column.name for column in cursor.description or ()], rows
