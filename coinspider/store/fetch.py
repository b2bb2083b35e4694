"""Fetches the rows of a query for people and programs: with all digits, or one line why not."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Raw
from psycopg import Connection, errors, sql
from psycopg.types.json import set_json_loads

from coinspider.crawl.program import program
from coinspider.errors import NothingCrawledError
from coinspider.store.unloadable import fetch_all


class Listing(NamedTuple):
    """Rows and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def fetch_listing(
    connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]
) -> Listing:
    """Raises :exc:`NothingCrawledError` if there are no such tables or columns yet."""
    # As text, because decoded numbers would lose digits.
    set_json_loads(Raw, connection)
    try:
        return Listing(*fetch_all(connection, query, values))
    except errors.UndefinedTable:
        raise nothing_crawled() from None
    except errors.UndefinedColumn:
        raise NothingCrawledError(
            "the tables are of an earlier version, and the next crawl adds what they lack:"
            f" {program()} crawl coins"
        ) from None


def nothing_crawled() -> NothingCrawledError:
    return NothingCrawledError(
        f"nothing was crawled into this database yet: {program()} crawl coins"
    )
