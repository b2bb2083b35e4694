"""The coins, and the history of one, as files: ``/coins.json``, ``.csv``, ``.xlsx`` and so on."""

from io import BytesIO, StringIO
from typing import Any

from msgspec import Raw
from psycopg import Connection

from coinspider.daemon.views.choice import CoinChoice, read_choice
from coinspider.daemon.views.coins import count_coins
from coinspider.daemon.views.columns import STORED, stored
from coinspider.daemon.views.view import Arguments, Body, DatabaseView
from coinspider.errors import ConfigurationError, ViewError
from coinspider.exact_json import encode, encode_row
from coinspider.export.feeds import write_csv
from coinspider.export.xlsx import XlsxItemExporter
from coinspider.items import FullCoin
from coinspider.store.fetch import Listing
from coinspider.store.series import list_candles, list_changes
from coinspider.store.tables import list_rows

_CHANGES = "changes"


class JsonView(DatabaseView):
    """A response for programs."""

    content_type = "application/json"

    def answer_error(self, error: ViewError) -> Body:
        return as_json(status="error", message=str(error))


class CoinsJson(JsonView):
    """The coins with all digits, and with all columns or the chosen ``columns``.

    A page of them; with ``all`` the rows of all pages.
    """

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        choice = _choice_of_file(arguments)
        if not arguments.get("columns"):
            choice = choice._replace(columns=STORED)
        total = count_coins(connected, choice).get(choice.currency, 0)
        pages = -(-total // choice.chosen.limit) if choice.chosen.limit else 1
        return as_json(
            status="ok",
            total=total,
            page=choice.page,
            pages=pages,
            coins=[Raw(encode_row(row)) for row in _listing(connected, choice).each_dict()],
        )


class CoinsCsv(DatabaseView):
    """The view's rows and columns with all digits; with ``all`` the rows of all pages."""

    content_type = "text/csv; charset=utf-8"
    file_name = "coins.csv"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        return as_csv(_listing(connected, _choice_of_file(arguments)))


class CoinsXlsx(DatabaseView):
    """The same as a workbook."""

    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    file_name = "coins.xlsx"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        listing, file = _listing(connected, _choice_of_file(arguments)), BytesIO()
        try:
            exporter = XlsxItemExporter(file, sheet="coins", known=dict.fromkeys(listing.columns))
        except ConfigurationError as error:  # openpyxl is not installed
            raise ViewError(501, str(error)) from None
        exporter.start_exporting()
        for row in listing.each_dict():
            exporter.export_item(row)
        exporter.finish_exporting()
        return file.getvalue()


class CoinHistoryCsv(DatabaseView):
    """A coin's candles with ``resolution`` 1h or 1d, or its ``changes``."""

    content_type = "text/csv; charset=utf-8"
    file_name = "coin-history.csv"

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        return as_csv(history_of_coin(connected, arguments))


class CoinHistoryJson(JsonView):
    """The same."""

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        history = history_of_coin(connected, arguments).dicts()
        return as_json(status="ok", history=[Raw(encode_row(row)) for row in history])


def _choice_of_file(arguments: Arguments) -> CoinChoice:
    """With ``all`` the rows of all pages."""
    choice = read_choice(arguments)
    if not arguments.get("all"):
        return choice
    return choice._replace(page=1, chosen=choice.chosen._replace(limit=None, offset=0))


def _listing(connected: Connection, choice: CoinChoice) -> Listing:
    # A chart's line can't be in a file.
    names = list(dict.fromkeys(["coin_id", *stored(choice.columns)]))
    return list_rows(connected, choice.chosen._replace(columns=names))


def history_of_coin(connected: Connection, arguments: Arguments) -> Listing:
    key = {"coin_id": arguments.get("id", ""), "vs_currency": arguments.get("currency") or "usd"}
    resolution = arguments.get("resolution") or "1h"
    if resolution == _CHANGES:
        return list_changes(connected, FullCoin, key)
    return list_candles(connected, FullCoin, key, resolution)


def as_csv(listing: Listing) -> bytes:
    """With all digits; names can't become formulas in a spreadsheet."""
    file = StringIO()
    write_csv(file, listing.columns, listing.rows)
    return file.getvalue().encode()


def as_json(**fields: Any) -> bytes:
    return encode(fields) + b"\n"
