"""``/coins``, ``/coins.json`` and ``/coin``: what the crawls stored."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec import Raw
from psycopg import Connection

from coinspider.daemon.web.charts import line_chart
from coinspider.daemon.web.view import Arguments, DatabaseView, number, render
from coinspider.errors import NoHistoryError, ViewError
from coinspider.exact_json import encode, encode_row
from coinspider.items import FullCoin
from coinspider.records.table_item import columns, stored_columns
from coinspider.store.queries import (
    LISTED,
    RowFilter,
    count_rows,
    find_row,
    list_rows,
    list_values,
)
from coinspider.store.series import price_points

COLUMNS = stored_columns(FullCoin)
LIMIT, LIMIT_MAX = 50, 1000
DAYS, DAYS_MAX = (1, 7, 30, 365), 36_500
NUMERIC = {column.name for column in columns(FullCoin) if column.type.is_number}


def coin_filter(arguments: Arguments, columns: Sequence[str]) -> RowFilter:
    """``currency``, ``search``, ``sort``, ``listed``, ``page`` and ``limit``, as in the form."""
    limit = number(arguments, "limit", LIMIT, LIMIT_MAX)
    listed = arguments.get("listed") or "listed"
    if listed not in LISTED:
        raise ViewError(400, f"listed={listed} is none of {', '.join(LISTED)}")
    sort = arguments.get("sort") or "market_cap_rank"
    return RowFilter(
        item_class=FullCoin,
        constants={"vs_currency": arguments.get("currency") or "usd"},
        search=arguments.get("search") or None,
        # For a form, which has a field of its own for it.
        sort=f"-{sort.removeprefix('-')}" if arguments.get("descending") else sort,
        columns=columns,
        limit=limit,
        offset=(number(arguments, "page", 1) - 1) * limit,
        listed=listed,
    )


class Coins(DatabaseView):
    """Any of the coins, a page of them at a time, by any column."""

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        whole = arguments.get("columns") == "all"
        chosen = coin_filter(arguments, COLUMNS if whole else FullCoin.shown)
        if not whole and chosen.listed != "listed":
            chosen = chosen._replace(columns=(*FullCoin.shown, "delisted_at"))
        ids = chosen._replace(columns=("coin_id", "delisted_at", *chosen.columns))
        rows = list_rows(connected, ids).dicts()
        return render(
            "coins.html",
            columns=chosen.columns, all_columns=COLUMNS, whole=whole, numeric=NUMERIC,
            rows=rows, chosen=chosen, currency=chosen.constants["vs_currency"],
            arguments=_kept(arguments, chosen), listed=LISTED,
            currencies=list_values(connected, FullCoin, "vs_currency"),
            **_paging(connected, chosen),
        )  # fmt: skip


class CoinsJson(DatabaseView):
    """The same with all columns and all digits."""

    content_type = "application/json"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        chosen = coin_filter(arguments, COLUMNS)
        coins = [Raw(encode_row(row)) for row in list_rows(connected, chosen).dicts()]
        return _json(status="ok", **_paging(connected, chosen), coins=coins)

    def answer_error(self, error: ViewError) -> str:
        return _json(status="error", message=str(error))


class Coin(DatabaseView):
    """All that is known of one, and how its price went in the last ``days``."""

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> str:
        coin_id, currency = arguments.get("id", ""), arguments.get("currency") or "usd"
        coin = find_row(connected, FullCoin, coin_id, {"vs_currency": currency})
        if not coin:
            raise ViewError(404, f"There is no coin {coin_id[:100]} in {currency[:20]}.")
        days = number(arguments, "days", DAYS[1], DAYS_MAX)
        try:
            key = {"coin_id": coin_id, "vs_currency": currency}
            prices = price_points(connected, FullCoin, key, days)
        except NoHistoryError:
            prices = None
        return render(
            "coin.html",
            coin=coin, image=_web_address(coin["image"]), days=days, all_days=DAYS, prices=prices,
            chart=line_chart(prices or []), arguments={"id": coin_id, "currency": currency},
        )  # fmt: skip


def _paging(connected: Connection, chosen: RowFilter) -> dict[str, int]:
    total = count_rows(connected, chosen)
    assert chosen.limit
    return {
        "total": total,
        "page": chosen.offset // chosen.limit + 1,
        "pages": -(-total // chosen.limit),
    }


def _kept(arguments: Arguments, chosen: RowFilter) -> dict[str, str]:
    """What the links of a page carry along."""
    names = ("currency", "search", "listed", "limit", "columns")
    kept = {name: arguments[name] for name in names if arguments.get(name)}
    return kept | ({"sort": chosen.sort} if arguments.get("sort") else {})


def _json(**fields: Any) -> str:
    return f"{encode(fields).decode()}\n"


def _web_address(text: str | None) -> str | None:
    try:
        return text if text and urlsplit(text).scheme in ("http", "https") else None
    except ValueError:
        return None
