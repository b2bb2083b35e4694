"""What the tables hold, as lists of rows: coins, crawls, rejected records."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from psycopg import Connection, errors, sql

from coinspider.failure import ConfigurationError
from coinspider.items import FullCoin
from coinspider.table_item import columns

COIN_COLUMNS = (*(column.name for column in columns(FullCoin)), "delisted_at")
SHOWN = (
    "market_cap_rank", "symbol", "name", "current_price", "price_change_percentage_24h",
    "market_cap", "total_volume",
)  # fmt: skip
_COINS = """
SELECT {columns} FROM full_coin
WHERE vs_currency = %(currency)s
    AND (%(search)s::text IS NULL OR coin_id = lower(%(search)s)
         OR strpos(lower(symbol), lower(%(search)s)) > 0
         OR strpos(lower(name), lower(%(search)s)) > 0)
ORDER BY {sort} {direction} NULLS LAST, coin_id LIMIT %(limit)s
"""
_CRAWLS = """
SELECT id, spider, vs_currency AS currency, started_at,
       extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
       coalesce(outcome, 'running') AS outcome, page_count AS pages, record_count AS records,
       inserted_count AS new, updated_count AS changed, unchanged_count AS unchanged,
       rejected_count AS rejected, refused_count AS refused
FROM crawl ORDER BY id DESC LIMIT %(limit)s
"""
_REJECTED = """
SELECT id, crawl_id AS crawl, rejected_at, reason, source_url, text
FROM rejected_record ORDER BY id DESC LIMIT %(limit)s
"""


class Listing(NamedTuple):
    """Rows, and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class CoinFilter(NamedTuple):
    """Which coins, in what order: ``sort`` is a column, ``-`` before it for the greatest first."""

    currency: str = "usd"
    search: str | None = None
    sort: str = "market_cap_rank"
    columns: Sequence[str] = SHOWN
    limit: int | None = 20


def list_coins(connection: Connection, chosen: CoinFilter) -> Listing:
    """Raises :exc:`ConfigurationError` for a column that there is not."""
    sort = chosen.sort.removeprefix("-")
    for name in (sort, *chosen.columns):
        if name not in COIN_COLUMNS:
            raise ConfigurationError(f"no column {name}: there are {', '.join(COIN_COLUMNS)}")
    query = sql.SQL(_COINS).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, chosen.columns)),
        sort=sql.Identifier(sort),
        direction=sql.SQL("DESC" if chosen.sort.startswith("-") else "ASC"),
    )
    return _list(connection, query, chosen._asdict())


def list_crawls(connection: Connection, limit: int | None) -> Listing:
    """The newest first."""
    return _list(connection, sql.SQL(_CRAWLS), {"limit": limit})


def list_rejected_records(connection: Connection, limit: int | None) -> Listing:
    """The newest first."""
    return _list(connection, sql.SQL(_REJECTED), {"limit": limit})


def _list(connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]) -> Listing:
    try:
        cursor = connection.execute(query, {k: v for k, v in values.items() if k != "columns"})
    except errors.UndefinedTable:
        raise ConfigurationError(
            "nothing was crawled into this database yet: scrapy crawl coins"
        ) from None
    assert cursor.description
    return Listing([column.name for column in cursor.description], cursor.fetchall())
