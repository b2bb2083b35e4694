"""``-O gsheets://ID/SHEET``: a feed to a sheet of Google Sheets. It needs gspread.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from scrapy import Spider
from scrapy.crawler import Crawler

from coinspider.crawl.outcome import note_failure
from coinspider.crawl.reasons import Reason
from coinspider.errors import ConfigurationError
from coinspider.export.feeds import RowExporter, needed
from coinspider.export.xlsx import as_cell, shortened
from coinspider.text import exact_json

if TYPE_CHECKING:
    from gspread import Worksheet

_NEEDED = {"client_email", "private_key", "token_uri"}
# If a minute's quota is used up: wait for 1, 2, 4, ... seconds, or as Retry-After says.
RETRIES = 6
API = "https://sheets.googleapis.com"
FORMAT = "gsheets"
# https://developers.google.com/workspace/sheets/api/guides/concepts and .../limits
CELL_MAX = 50_000  # characters
ROWS_AT_ONCE = 2000
TIMEOUT = 60  # seconds


def key_file(path: str | None) -> str:
    """The path, if it is that of a key. Raises :exc:`ConfigurationError`.

    Otherwise the crawl would end before anybody notices.
    """
    what = "the path of a service account's key, in JSON"
    if not path or not Path(path).is_file():
        raise ConfigurationError(f"GOOGLE_SHEETS_CREDENTIALS must be {what}")
    try:
        account = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"GOOGLE_SHEETS_CREDENTIALS must be {what}, and {path} can't be read as one:"
            f" {type(error).__name__}"
        ) from None
    missing = _NEEDED - account.keys() if isinstance(account, dict) else _NEEDED
    if missing:
        raise ConfigurationError(
            f"GOOGLE_SHEETS_CREDENTIALS must be {what}, and {path} lacks"
            f" {', '.join(sorted(missing))}"
        )
    return path


def http_client(api: str) -> type:
    """gspread's own client, with retries, and another address if one is set."""
    from gspread.http_client import HTTPClient
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    class Client(HTTPClient):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            # All requests here may be repeated safely.
            retry = Retry(
                RETRIES,
                backoff_factor=0.5,
                status_forcelist=[429, 500, 502, 503, 504],
                allowed_methods=None,
                raise_on_status=False,
            )
            for scheme in ("http://", "https://"):
                self.session.mount(scheme, HTTPAdapter(max_retries=retry))

        def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> Any:
            return super().request(method, endpoint.replace(API, api, 1), *args, **kwargs)

    return Client


class GoogleSheetsItemExporter(RowExporter):
    """A line of JSON for each row of the sheet, the column names first.

    A number that a double would round is text with all its digits; times are text, in UTC.
    """

    def begin(self, item: object, names: list[str]) -> None:
        super().begin(item, names)
        if item is not None:
            self._write(names)

    def write_row(self, row: list[object]) -> None:
        self._write(list(map(_cell, row)))

    def _write(self, row: Sequence[object]) -> None:
        self.file.write(exact_json(row) + b"\n")


class GoogleSheetsFeedStorage:
    """``gsheets://ID/SHEET``: a sheet, created if it is missing, of an existing spreadsheet.

    With ``overwrite`` the rows replace the sheet's content, else they are appended.
    """

    def __init__(self, crawler: Crawler, uri: str, feed_options: dict[str, object]):
        parts = urlsplit(uri)
        self.key, self.title = parts.netloc, unquote(parts.path.strip("/"))
        if not self.key or not self.title or "/" in self.title:
            raise ConfigurationError(f"{uri} does not name a sheet: gsheets://ID/SHEET")
        if feed_options.get("format") != FORMAT:
            raise ConfigurationError(f"the format of a feed to {uri} is {FORMAT}")
        self.credentials = key_file(crawler.settings.get("GOOGLE_SHEETS_CREDENTIALS"))
        self.crawler, self.uri = crawler, uri
        self.api = crawler.settings.get("GOOGLE_SHEETS_URL") or API
        self.overwrite = bool(feed_options.get("overwrite"))

    @classmethod
    def from_crawler(cls, crawler: Crawler, uri: str, *, feed_options: dict[str, object]) -> Self:
        return cls(crawler, uri, feed_options)

    def open(self, spider: Spider) -> IO[bytes]:
        return TemporaryFile()

    async def store(self, file: IO[bytes]) -> None:
        try:
            await asyncio.to_thread(self._upload, file)
        except Exception as error:
            message = f"the feed {self.uri} could not be written: {_reason(error)}"
            note_failure(self.crawler, Reason("feed_failed", {"why": message}))
            raise
        finally:
            file.close()

    def _upload(self, file: IO[bytes]) -> None:
        file.seek(0)
        rows = (json.loads(line) for line in file)
        names = next(rows, None)
        if names is None:
            return
        sheet = self._sheet()
        if self.overwrite or not (header := sheet.row_values(1)):
            end = _write(sheet, 1, [names, *islice(rows, ROWS_AT_ONCE)], rows)
            # Only now, so that the sheet is never empty. A frozen row needs one below it.
            sheet.resize(rows=max(end - 1, 2), cols=len(names))
            sheet.freeze(rows=1)
        elif header != names:
            raise ConfigurationError(
                f"its columns are {', '.join(header)}, and not those of the feed"
            )
        else:
            first = len(sheet.col_values(1)) + 1
            _write(sheet, first, list(islice(rows, ROWS_AT_ONCE)), rows)

    def _sheet(self) -> "Worksheet":
        gspread = needed("gspread", "a feed to Google Sheets")
        client = gspread.service_account(self.credentials, http_client=http_client(self.api))
        client.set_timeout(TIMEOUT)
        book = client.open_by_key(self.key)
        try:
            sheet: Worksheet = book.worksheet(self.title)
        except gspread.WorksheetNotFound:
            sheet = book.add_worksheet(self.title, rows=2, cols=1)
        return sheet


def _write(
    sheet: "Worksheet", first: int, batch: list[list[object]], rows: Iterator[list[object]]
) -> int:
    """Write the rows from row ``first`` on, and return the number of the row after them."""
    while batch:
        end = first + len(batch)
        if end - 1 > sheet.row_count or len(batch[0]) > sheet.col_count:
            sheet.resize(max(end - 1, sheet.row_count), max(len(batch[0]), sheet.col_count))
        # RAW: text is not mistaken for a formula, a number or a date.
        sheet.update(batch, f"A{first}", raw=True)
        first, batch = end, list(islice(rows, ROWS_AT_ONCE))
    return first


def _cell(value: object) -> object:
    """The JSON value. None becomes "": for null the API would keep the old value."""
    shown = as_cell(value)
    if shown is None:
        return ""
    if isinstance(shown, datetime):
        return shown.isoformat(" ", timespec="milliseconds")
    if isinstance(shown, Decimal):
        return shown
    return shortened(shown, CELL_MAX) if isinstance(shown, str) else shown


def _reason(error: Exception) -> str:
    """The API's message, without the address."""
    if isinstance(error, PermissionError):
        return "Google lets nobody but its owners see it: share it with the service account"
    name, text = type(error).__name__, " ".join(str(error).split())
    return text if name in ("APIError", "ConfigurationError") else f"{name}: {text}"
