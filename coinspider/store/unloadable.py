"""Values that PostgreSQL has but Python doesn't, read as PostgreSQL's text for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import Column, Connection, sql
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
) -> tuple[Sequence[Column], list[Any]]:
    """The columns and the rows, whatever they contain."""
    cursor = connection.execute(query, values)
    try:
        rows = cursor.fetchall()
    except psycopg.DataError:
        # Only if needed: psycopg's own loader is several times as fast.
        connection.adapters.register_loader("timestamptz", AnyTimeLoader)
        cursor = connection.execute(query, values)
        rows = cursor.fetchall()
    return cursor.description or (), rows
