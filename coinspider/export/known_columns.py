"""The columns of a feed that are known before its first item."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from scrapy.crawler import Crawler

from coinspider.records.column_types import ColumnType
from coinspider.records.table_item import TableItem, columns

KnownColumns = Mapping[str, ColumnType | None]
"""The names of the columns, and the types of those that have one."""
NO_COLUMNS: KnownColumns = MappingProxyType({})


def columns_without_rows(
    known: KnownColumns, chosen: Mapping[str, str] | Iterable[str] | None
) -> list[str]:
    """The columns of a file without rows; ``chosen`` is what ``FEED_EXPORT_FIELDS`` says."""
    if chosen is None:
        return list(known)
    return list(chosen.values() if isinstance(chosen, Mapping) else chosen)


def known_columns(crawler: Crawler) -> KnownColumns:
    """Those of the spider's items; none if it learns them from the first page."""
    item_class: type[TableItem] | None = getattr(crawler.spider, "item_class", None)
    return {column.name: column.type for column in columns(item_class)} if item_class else {}
