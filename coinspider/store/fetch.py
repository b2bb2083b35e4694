"""Fetches the rows of a query for people and programs: with all digits, or one line why not."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Self

from msgspec import Raw
from psycopg import Connection, errors, sql
from psycopg.types.json import set_json_loads

from coinspider.crawl.program import program
from coinspider.errors import NothingCrawledError
from coinspider.store.unloadable import fetch_all


class Listing(NamedTuple):
    """Rows and the names of their columns; ``title`` is what they are about, if that is known."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""

    def without(self, names: Collection[str]) -> Self:
        """The listing without these columns."""
        kept = [number for number, name in enumerate(self.columns) if name not in names]
        if len(kept) == len(self.columns):
            return self
        rows = [[row[number] for number in kept] for row in self.rows]
        return self._replace(columns=[self.columns[number] for number in kept], rows=rows)

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
