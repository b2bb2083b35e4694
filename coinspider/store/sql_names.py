"""Quotes lists of names for SQL."""

from collections.abc import Iterable

from psycopg import sql


def identifiers(names: Iterable[str], *qualifier: str) -> sql.Composed:
    """``"a", "b"``, or ``"stored"."a", "stored"."b"``."""
    return sql.SQL(", ").join(sql.Identifier(*qualifier, name) for name in names)
