"""``/table/NAME``: the rows of any table that crawls have filled; and rows as files."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import quote

from msgspec import Raw
from psycopg import Connection
from scrapy.utils.project import get_project_settings
from twisted.web.resource import Resource

from coinspider.daemon.database import Memory, database_url
from coinspider.daemon.gate.browsers import TxRequest
from coinspider.daemon.protocols import Root
from coinspider.daemon.views.choice import LIMIT, RowChoice, read_table_choice
from coinspider.daemon.views.view import (
    CSV,
    HTML,
    JSON,
    Arguments,
    Body,
    DatabaseView,
    Format,
    Frame,
    View,
    as_csv,
    as_json,
    page_of,
    render,
)
from coinspider.errors import ConfigurationError, ViewError
from coinspider.export.feeds import PACKAGES
from coinspider.export.formats import parquet, workbook
from coinspider.store.fetch import Listing
from coinspider.store.tables import (
    RowFilter,
    UnknownTableError,
    count_all,
    count_rows,
    find_table,
    list_rows,
    list_tables,
)
from coinspider.text import exact_json_row

LIMITS = (25, 50, 100, 250)
SECTION = "table/"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PARQUET = "application/vnd.apache.parquet"
_AMOUNTS = get_project_settings().get("PARQUET_AMOUNTS", "auto")
_counts: Memory[int] = Memory(5.0)  # seconds

Read = Callable[[Connection, Arguments], RowChoice]
"""Reads what a file is asked for. Raises what :func:`read_table_choice` does."""


def count(connected: Connection, chosen: RowFilter) -> int:
    """Paging and sorting don't change it, and counting takes as long as a page."""
    key = database_url(), repr(chosen.uncut)
    return _counts.get(key, lambda: count_rows(connected, chosen))


class File(NamedTuple):
    """A kind of file: its type, and how it is made of the rows that were chosen among ``total``."""

    content_type: str
    make: Callable[[Listing, RowChoice, Callable[[], int]], bytes]


def _json(listing: Listing, choice: RowChoice, total: Callable[[], int]) -> bytes:
    rows, found = [Raw(exact_json_row(row)) for row in listing.each_dict()], total()
    place = {"total": found, "page": choice.page, "pages": choice.pages(found)}
    return as_json(status="ok", **place, **{f"{choice.chosen.table.noun}s": rows})


# By the end of its name.
FILES: Mapping[str, File] = {
    "csv": File(CSV, lambda listing, *_: as_csv(listing)),
    "xlsx": File(_XLSX, lambda listing, choice, _: workbook(listing, choice.chosen.table.noun)),
    "parquet": File(_PARQUET, lambda listing, *_: parquet(listing, _AMOUNTS)),
    "json": File(JSON.content_type, _json),
}


def render_rows(
    template: str,
    frame: Frame,
    choice: RowChoice,
    rows: Sequence[Mapping[str, object]],
    total: int,
    **values: object,
) -> str:
    """The page of rows that were chosen among ``total``, by what all such pages have."""
    table = choice.chosen.table
    told = {
        "table": table,
        "title": table.name,
        "choice": choice,
        "arguments": choice.arguments,
        "usual": {"columns": ",".join(choice.usual), "limit": str(LIMIT)},
        "rows": rows,
        "limits": sorted({*LIMITS, choice.chosen.limit or total}),
        "files": file_formats(),
        "total": total,
        "problems": {},
    }
    return render(template, **told | frame | values)


def file_formats() -> Sequence[str]:
    """Those with a link: a file whose package is not installed leads nowhere."""
    return [name for name in FILES if name not in PACKAGES or find_spec(PACKAGES[name])]


def file_of(kind: str, name: str, read: Read) -> tuple[View, Format]:
    """A view of the chosen rows as a file, with ``all`` those of all pages."""
    # A name that every system takes, whatever the table is called.
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    file = Format(FILES[kind].content_type, f"{plain}.{kind}")
    return partial(_send, kind, read), JSON if kind == "json" else file


def _send(kind: str, read: Read, connected: Connection, arguments: Arguments, _: Frame) -> bytes:
    """JSON has all columns, unless some are chosen."""
    if kind == "json" and not arguments.get("columns"):
        arguments = {**arguments, "columns": "all"}
    choice = read(connected, arguments)
    choice = choice.whole if arguments.get("all") else choice
    listing = list_rows(connected, choice.chosen)
    try:
        return FILES[kind].make(listing, choice, partial(count, connected, choice.chosen))
    except ConfigurationError as error:  # a package is not installed
        raise ViewError(501, str(error)) from None


def _read(name: str, connected: Connection, arguments: Arguments) -> RowChoice:
    all_columns = {} if arguments.get("columns") else {"columns": "all"}
    return read_table_choice(find_table(connected, name), {**arguments, **all_columns})


def _table(name: str, connected: Connection, arguments: Arguments, frame: Frame) -> Body:
    try:
        table = find_table(connected, name)
    except UnknownTableError as error:
        links = {each: quote(each, safe="") for each in error.tables}
        page = render("error.html", **frame, status=404, message=f"{error}.", links=links)
        raise ViewError(404, str(error), page) from None
    choice = read_table_choice(table, arguments, LIMITS[-1])
    total = count(connected, choice.chosen)
    choice = choice.within(total)
    rows = list_rows(connected, choice.chosen).dicts()
    return render_rows("table.html", frame, choice, rows, total, address=quote(name, safe=""))


def _index(connected: Connection, _: Arguments, frame: Frame) -> str:
    tables = list_tables(connected)
    counts = {name: count_all(connected, name) for name in tables}
    return render("tables.html", **frame, tables=tables, counts=counts)


class Tables(Resource):
    """``table/`` lists the tables; ``table/NAME`` is one, ``table/NAME.csv`` its rows as a file."""

    def __init__(self, root: Root):
        super().__init__()
        self.root = root

    def render_GET(self, txrequest: TxRequest) -> bytes:
        txrequest.setResponseCode(303)
        txrequest.setHeader("Location", SECTION)
        return b""

    def getChild(self, path: bytes, txrequest: TxRequest) -> DatabaseView:
        name = path.decode("utf-8", "replace")
        if not name:
            return page_of(_index, SECTION)(self.root)
        stem, _, end = name.rpartition(".")
        if stem and end in FILES:
            view, form = file_of(end, stem, partial(_read, stem))
            return page_of(view, SECTION, form)(self.root)
        return page_of(partial(_table, name), SECTION, Format(HTML))(self.root)
