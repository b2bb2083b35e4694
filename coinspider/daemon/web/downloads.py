"""The coins, and the history of one, as files: ``/coins.json``, ``.csv``, ``.xlsx`` and so on."""

import csv
from io import BytesIO, StringIO
from typing import Any

from msgspec import Raw
from psycopg import Connection

from coinspider.daemon.web.coin_query import SORTABLE, coin_query
from coinspider.daemon.web.view import Arguments, Body, DatabaseView
from coinspider.errors import ViewError
from coinspider.exact_json import encode, encode_row
from coinspider.items import FullCoin
from coinspider.store.queries import Listing, count_rows, list_rows
from coinspider.store.series import list_candles, list_changes
from coinspider.text import exact, without_formula

_CHANGES = "changes"


class JsonView(DatabaseView):
    """An answer for a program."""

    content_type = "application/json"

    def answer_error(self, error: ViewError) -> Body:
        return as_json(status="error", message=str(error))


class CoinsJson(JsonView):
    """A page of the coins with all columns and all digits."""

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        query = coin_query(arguments)
        chosen = query.chosen._replace(columns=SORTABLE)
        total = count_rows(connected, chosen)
        assert chosen.limit
        pages = -(-total // chosen.limit)
        coins = _rows(list_rows(connected, chosen))
        return as_json(status="ok", total=total, page=query.page, pages=pages, coins=coins)


class CoinsCsv(DatabaseView):
    """The view's rows and columns with all digits; with ``all`` the rows of all its pages."""

    content_type = "text/csv; charset=utf-8"
    file_name = "coins.csv"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        return as_csv(listing_of_view(connected, arguments))


class CoinsXlsx(DatabaseView):
    """The same as a workbook."""

    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    file_name = "coins.xlsx"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        try:
            from coinspider.export.xlsx import XlsxItemExporter
        except ImportError:
            raise ViewError(501, "for a workbook scrapyd needs: pip install openpyxl") from None
        file = BytesIO()
        exporter = XlsxItemExporter(file)
        exporter.start_exporting()
        for row in listing_of_view(connected, arguments).dicts():
            exporter.export_item(row)
        exporter.finish_exporting()
        return file.getvalue()


class CoinHistoryCsv(DatabaseView):
    """Of one coin the candles of ``resolution`` 1h or 1d, or its ``changes``."""

    content_type = "text/csv; charset=utf-8"
    file_name = "coin-history.csv"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        return as_csv(history_of_coin(connected, arguments))


class CoinHistoryJson(JsonView):
    """The same."""

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        return as_json(status="ok", history=_rows(history_of_coin(connected, arguments)))


def listing_of_view(connected: Connection, arguments: Arguments) -> Listing:
    query = coin_query(arguments)
    chosen = query.chosen
    if arguments.get("all"):
        chosen = chosen._replace(limit=None, offset=0)
    names = dict.fromkeys(["coin_id", *chosen.columns])
    return list_rows(connected, chosen._replace(columns=list(names)))


def history_of_coin(connected: Connection, arguments: Arguments) -> Listing:
    key = {"coin_id": arguments.get("id", ""), "vs_currency": arguments.get("currency") or "usd"}
    resolution = arguments.get("resolution") or "1h"
    if resolution == _CHANGES:
        return list_changes(connected, FullCoin, key)
    return list_candles(connected, FullCoin, key, resolution)


def as_csv(listing: Listing) -> bytes:
    """With all digits; no spreadsheet takes a name for a formula."""
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(listing.columns)
    for row in listing.rows:
        writer.writerow(map(_cell, row))
    return file.getvalue().encode()


def as_json(**fields: Any) -> bytes:
    return encode(fields) + b"\n"


def _rows(listing: Listing) -> list[Raw]:
    return [Raw(encode_row(row)) for row in listing.dicts()]


def _cell(value: Any) -> str:
    text = exact(value)
    return without_formula(text) if isinstance(value, str | Raw) else text
