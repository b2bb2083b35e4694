"""Which rows of an item's table to list, and in what order."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from coinspider.records.table_item import TableItem, primary_key
from coinspider.store.crawl import FIRST_COMPLETE

LISTED = {
    "all": sql.SQL("true"),
    "listed": sql.SQL("delisted_at IS NULL"),
    "delisted": sql.SQL("delisted_at IS NOT NULL"),
}
_COMPARISONS = {
    ">=": sql.SQL("{} >= {}"),
    "<=": sql.SQL("{} <= {}"),
    "IN": sql.SQL("{} = ANY ({})"),
    # Until the first whole crawl ended, nothing counts as new.
    "NEW": sql.SQL("{} >= greatest({}, (SELECT coalesce(({first}), 'infinity')))"),
}
_FOUND = "strpos(lower({}), lower(%(search)s)) > 0"


class Condition(NamedTuple):
    """What a column must be: ``>=`` or ``<=`` a value, one ``IN`` some, or the time at which a row
    was first crawled, since this time and as a ``NEW`` one.
    """

    column: str
    operator: str
    value: Any

    def sql(self, parameter: str) -> sql.Composed:
        column, value = sql.Identifier(self.column), sql.Placeholder(parameter)
        return _COMPARISONS[self.operator].format(column, value, first=FIRST_COMPLETE)


class RowFilter(NamedTuple):
    """Which rows of an item's table to list, and in what order.

    ``constants`` are values of key columns; ``sort`` is a column, ``-`` before it for the greatest
    first; ``listed`` is one of :data:`LISTED`. A ``limit`` of ``None`` is for all rows.
    """

    item_class: type[TableItem]
    constants: Mapping[str, str]
    columns: Sequence[str]
    sort: str
    search: str | None = None
    limit: int | None = 20
    offset: int = 0
    listed: str = "all"
    conditions: Sequence[Condition] = ()

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of the statements that the filter is for."""
        own = {"search": self.search, "limit": self.limit, "offset": self.offset}
        wanted = {f"condition_{n}": each.value for n, each in enumerate(self.conditions)}
        return own | wanted | constant_values(self.constants)

    def parts(self) -> dict[str, sql.Composable]:
        """The parts of the statements that the filter is for."""
        searched = self.item_class.searched
        found = sql.SQL(" OR ").join(
            sql.SQL(_FOUND).format(sql.Identifier(name)) for name in searched
        )
        return key_parts(self.item_class, self.constants) | {
            "listed": LISTED[self.listed],
            "conditions": sql.SQL(" AND ").join(
                each.sql(f"condition_{n}") for n, each in enumerate(self.conditions)
            )
            if self.conditions
            else sql.SQL("true"),
            "found": found if searched else sql.SQL("false"),
        }


def key_parts(
    item_class: type[TableItem], constants: Mapping[str, str]
) -> dict[str, sql.Composable]:
    """The table, the first column of its key, and the condition of the constants."""
    conditions = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"constant_{name}"))
        for name in constants
    ]
    return {
        "table": sql.Identifier(item_class.table),
        "key": sql.Identifier(primary_key(item_class)[0]),
        "constants": sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
    }


def constant_values(constants: Mapping[str, str]) -> dict[str, str]:
    # Distinct from the other parameters, whatever a column is called.
    return {f"constant_{name}": value for name, value in constants.items()}
