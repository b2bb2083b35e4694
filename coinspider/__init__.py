"""Every crypto coin's market data in PostgreSQL: a Scrapy project.

Import what your own spiders and items need from here; the modules behind it may move::

    from coinspider import Amount, Key, NextLink, PaginatedSpider, TableItem, Version
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coinspider.crawl.spider import PaginatedSpider as PaginatedSpider
    from coinspider.http.pagination import AnsweredPage as AnsweredPage
    from coinspider.http.pagination import Cursor as Cursor
    from coinspider.http.pagination import Evidence as Evidence
    from coinspider.http.pagination import LinkHeader as LinkHeader
    from coinspider.http.pagination import NextLink as NextLink
    from coinspider.http.pagination import Offset as Offset
    from coinspider.http.pagination import PageNumber as PageNumber
    from coinspider.http.pagination import PageRequest as PageRequest
    from coinspider.http.pagination import Pagination as Pagination
    from coinspider.http.pagination import SignNames as SignNames
    from coinspider.http.pagination import SinglePage as SinglePage
    from coinspider.http.pagination import Step as Step
    from coinspider.records.table_item import Amount as Amount
    from coinspider.records.table_item import Date as Date
    from coinspider.records.table_item import Integer as Integer
    from coinspider.records.table_item import IntegerKey as IntegerKey
    from coinspider.records.table_item import Key as Key
    from coinspider.records.table_item import LocalTime as LocalTime
    from coinspider.records.table_item import TableItem as TableItem
    from coinspider.records.table_item import Time as Time
    from coinspider.records.table_item import TrackedAmount as TrackedAmount
    from coinspider.records.table_item import Version as Version

_PLACES = {
    "coinspider.crawl.spider": "PaginatedSpider",
    "coinspider.http.pagination": (
        "AnsweredPage Cursor Evidence LinkHeader NextLink Offset PageNumber PageRequest "
        "Pagination SignNames SinglePage Step"
    ),
    "coinspider.records.table_item": (
        "Amount Date Integer IntegerKey Key LocalTime TableItem Time TrackedAmount Version"
    ),
}
_PLACE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}
__all__ = sorted(_PLACE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Imported on demand: the sandbox and most commands need none of them."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
