"""What the tables hold, as lists of rows: coins, crawls, rejected records."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Raw
from psycopg import Connection, errors, sql
from psycopg.types.json import set_json_loads

from coinspider.errors import ConfigurationError, NothingCrawledError
from coinspider.items import FullCoin
from coinspider.records.table_item import columns

COIN_COLUMNS = (*(column.name for column in columns(FullCoin)), "delisted_at")
SHOWN = (
    "market_cap_rank", "name", "symbol", "current_price", "price_change_percentage_24h",
    "market_cap", "total_volume",
)  # fmt: skip
LISTED = {
    "all": sql.SQL("true"),
    "listed": sql.SQL("delisted_at IS NULL"),
    "delisted": sql.SQL("delisted_at IS NOT NULL"),
}
_MATCHING = """
FROM full_coin
WHERE vs_currency = %(currency)s AND {listed}
    AND (%(search)s::text IS NULL OR coin_id = lower(%(search)s)
         OR strpos(lower(symbol), lower(%(search)s)) > 0
         OR strpos(lower(name), lower(%(search)s)) > 0)
"""
_COINS = f"""
SELECT {{columns}} {_MATCHING}
ORDER BY {{sort}} {{direction}} NULLS LAST, coin_id LIMIT %(limit)s OFFSET %(offset)s
"""
_COUNT = f"SELECT count(*) {_MATCHING}"
_COIN = "SELECT {columns} FROM full_coin WHERE coin_id = %(coin_id)s AND vs_currency = %(currency)s"
_CURRENCIES = "SELECT DISTINCT vs_currency FROM full_coin ORDER BY 1"
_CRAWLS = """
SELECT id, spider, vs_currency AS currency, started_at,
       extract(epoch FROM coalesce(ended_at, now()) - started_at)::float AS seconds,
       coalesce(outcome, 'running') AS outcome, page_count AS pages, record_count AS records,
       inserted_count AS new, updated_count AS changed, unchanged_count AS unchanged,
       rejected_count AS rejected, refused_count AS refused, job, message
FROM crawl ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_REJECTED = """
SELECT id, crawl_id AS crawl, rejected_at, reason, source_url, text
FROM rejected_record WHERE %(crawl)s::bigint IS NULL OR crawl_id = %(crawl)s
ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
"""


class Listing(NamedTuple):
    """Rows, and the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class CoinFilter(NamedTuple):
    """Which coins, in what order: ``sort`` is a column, ``-`` before it for the greatest first.

    ``listed`` is one of :data:`LISTED`.
    """

    currency: str = "usd"
    search: str | None = None
    sort: str = "market_cap_rank"
    columns: Sequence[str] = SHOWN
    limit: int | None = 20
    offset: int = 0
    listed: str = "all"


def list_coins(connection: Connection, chosen: CoinFilter) -> Listing:
    """Raises :exc:`ConfigurationError` for a column that there is not."""
    sort = chosen.sort.removeprefix("-")
    _check_columns(sort, *chosen.columns)
    query = sql.SQL(_COINS).format(
        columns=_names(chosen.columns),
        listed=LISTED[chosen.listed],
        sort=sql.Identifier(sort),
        direction=sql.SQL("DESC" if chosen.sort.startswith("-") else "ASC"),
    )
    return _list(connection, query, chosen._asdict())


def count_coins(connection: Connection, chosen: CoinFilter) -> int:
    """How many there are beyond the filter's limit and offset."""
    query = sql.SQL(_COUNT).format(listed=LISTED[chosen.listed])
    [[count]] = _list(connection, query, chosen._asdict()).rows
    return int(count)


def find_coin(connection: Connection, coin_id: str, currency: str) -> dict[str, Any] | None:
    """A coin with all its columns."""
    query = sql.SQL(_COIN).format(columns=_names(COIN_COLUMNS))
    found = _list(connection, query, {"coin_id": coin_id, "currency": currency}).dicts()
    return found[0] if found else None


def list_currencies(connection: Connection) -> list[str]:
    """Those in which there are coins."""
    return [code for (code,) in _list(connection, sql.SQL(_CURRENCIES), {}).rows]


def list_crawls(connection: Connection, limit: int | None, offset: int = 0) -> Listing:
    """The newest first."""
    return _list(connection, sql.SQL(_CRAWLS), {"limit": limit, "offset": offset})


def list_rejected_records(
    connection: Connection, limit: int | None, offset: int = 0, crawl: int | None = None
) -> Listing:
    """The newest first: of all crawls, or of one."""
    values = {"limit": limit, "offset": offset, "crawl": crawl}
    return _list(connection, sql.SQL(_REJECTED), values)


def _check_columns(*names: str) -> None:
    for name in names:
        if name not in COIN_COLUMNS:
            raise ConfigurationError(f"no column {name}: there are {', '.join(COIN_COLUMNS)}")


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _list(connection: Connection, query: sql.SQL | sql.Composed, values: dict[str, Any]) -> Listing:
    # As text: read, its numbers would lose digits.
    set_json_loads(Raw, connection)
    try:
        cursor = connection.execute(query, values)
    except errors.UndefinedTable:
        raise NothingCrawledError(
            "nothing was crawled into this database yet: scrapy crawl coins"
        ) from None
    assert cursor.description
    return Listing([column.name for column in cursor.description], cursor.fetchall())
