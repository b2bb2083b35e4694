"""``-O coins.xlsx``: a feed for Excel. It needs XlsxWriter."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from coinspider.export.feeds import RowExporter, needed
from coinspider.records.table_item import TableItem
from coinspider.text import in_utc

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

# Excel keeps 15 digits of a number, and has no days before 1900:
# https://support.microsoft.com/en-us/office/1672b34d-7043-467e-8e27-269d656771c3
DIGITS_MAX = 15
SIZE_MAX = 300  # powers of ten
FIRST_YEAR, LAST_TIME = 1900, datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001 (UTC)
CELL_MAX = 32_767  # characters
DECIMALS_MAX = 20
PERCENTAGE = '[Color10]+0.00"%";[Red]-0.00"%";0.00"%"'
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# https://support.microsoft.com/en-us/office/1672b34d-7043-467e-8e27-269d656771c3
ROWS_MAX = 1_048_576
TIME_FORMAT = "yyyy-mm-dd hh:mm:ss.000"
WIDTH_LEAST, WIDTH_MOST = 8, 40  # characters
TITLE_MAX = 25  # characters of 31, because a number may follow
_NO_TITLE = re.compile(r"[\\/*?:\[\]']")
# Memory does not grow with the rows, which wait in a file.
OPTIONS = {"constant_memory": True, "nan_inf_to_errors": True, "remove_timezone": True}
SAMPLE = 200  # rows from which the widths are computed
# Keys of styles, beside number formats; MARK is also its colour.
HEADER, TEXT, MARK = "header", "@", "FFF2CC"
_STYLES: dict[str, dict[str, object]] = {
    HEADER: {"bold": True},
    MARK: {"bg_color": f"#{MARK}", "align": "right"},
}
NOTE = (
    "A yellow cell is a number with all its digits, as text: Excel would keep 15 of them.",
    "Times are UTC.",
)


def as_cell(value: object) -> object:
    """A number or a time if a cell can hold all its digits, else text."""
    convert = _CELLS.get(type(value))
    return convert(value) if convert else value


def _time_cell(value: datetime) -> datetime | str:
    moment = in_utc(value)
    is_date = moment and moment.year > FIRST_YEAR and moment <= LAST_TIME
    return moment if moment and is_date else value.isoformat()


_CELLS: dict[type, Callable[[Any], object]] = {
    Decimal: lambda value: value if _fits(value) else format(value, "f"),
    int: lambda value: value if abs(value) < 10**DIGITS_MAX else str(value),
    datetime: _time_cell,
    Raw: lambda value: bytes(value).decode(),
}


def printable(text: str) -> str:
    """A text that XML and Excel accept: without control characters, and cut to fit a cell."""
    return shortened(_CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text), CELL_MAX)


def shortened(text: str, most: int) -> str:
    """The text, cut to the limit; its end then says how long it was."""
    if len(text) <= most:
        return text
    mark = f"... (cut: {len(text)} characters)"
    return text[: most - len(mark)] + mark


def number_format(value: Decimal, column: str = "") -> str:
    """Excel's format for a number of this size: six digits, and the whole integer part."""
    if "percentage" in column:
        return PERCENTAGE
    size = value.adjusted()
    if not value or value == value.to_integral_value():
        return "#,##0" if size < DIGITS_MAX else "0.00000E+00"
    if size >= 3:
        return "#,##0.00"
    decimals = 5 - size
    return f"#,##0.{'0' * decimals}" if decimals <= DECIMALS_MAX else "0.00000E+00"


def _fits(value: Decimal) -> bool:
    if not value.is_finite():
        return False
    digits = len(value.as_tuple().digits)
    if digits > DIGITS_MAX:
        digits = len(value.normalize().as_tuple().digits)
    return digits <= DIGITS_MAX and -SIZE_MAX < value.adjusted() < SIZE_MAX


class XlsxItemExporter(RowExporter):
    """A sheet with a frozen header, a filter, widths and number formats; times are UTC.

    A number that Excel would round becomes text with all its digits, on yellow; text is never a
    formula. Rows beyond Excel's maximum go to another sheet. ``known`` are the columns of a file
    without rows.
    """

    def __init__(self, file: BytesIO, *, sheet: str = "", **kwargs: Any):
        super().__init__(file, **kwargs)
        self.title = sheet
        # A feed's file is opened for appending, and a ZIP archive can't be written that way.
        self.archive = BytesIO()
        writer = needed("xlsxwriter", "a file for Excel")
        self.book = writer.Workbook(self.archive, OPTIONS)
        self.waiting: list[list[object]] = []
        self.widths: list[int] = []
        self.sheet: Worksheet | None = None
        self.row_count = 0
        self.styles: dict[str, Format] = {}

    def begin(self, item: object, names: list[str]) -> None:
        super().begin(item, names)
        noun = item.noun if isinstance(item, TableItem) else "row"
        self.title = self.title or (_NO_TITLE.sub(" ", f"{noun}s")[:TITLE_MAX] if item else "rows")

    def write_row(self, row: list[object]) -> None:
        if self.sheet:
            self._append(self.sheet, row)
            return
        self.waiting.append(row)
        if len(self.waiting) >= SAMPLE:
            self._begin()

    def finish_exporting(self) -> None:
        super().finish_exporting()
        self._end_sheet(self.sheet or self._begin())
        notes = self.book.add_worksheet("notes" if self.title != "notes" else "about")
        notes.set_column(0, 0, 2 * WIDTH_MOST)
        for number, line in enumerate(NOTE):
            notes.write_string(number, 0, line)
        self.book.close()
        self.file.write(self.archive.getvalue())

    def _begin(self) -> "Worksheet":
        rows, self.waiting = self.waiting, []
        for number, name in enumerate(self.names):
            longest = max([len(name), *(_length(row[number]) for row in rows)])
            self.widths.append(min(max(longest, WIDTH_LEAST), WIDTH_MOST) + 2)
        sheet = self.sheet = self._new_sheet()
        for row in rows:
            self._append(sheet, row)
        return self.sheet

    def _new_sheet(self) -> "Worksheet":
        number = len(self.book.worksheets())
        sheet = self.book.add_worksheet(f"{self.title} {number + 1}" if number else self.title)
        sheet.freeze_panes(1, 0)
        for column, (name, width) in enumerate(zip(self.names, self.widths, strict=True)):
            sheet.set_column(column, column, width)
            sheet.write_string(0, column, printable(name), self._style(HEADER))
        self.row_count = min(len(self.names), 1)
        return sheet

    def _end_sheet(self, sheet: "Worksheet") -> None:
        if self.names:
            sheet.autofilter(0, 0, self.row_count - 1, len(self.names) - 1)

    def _append(self, sheet: "Worksheet", row: list[object]) -> None:
        if self.row_count == ROWS_MAX:
            self._end_sheet(sheet)
            sheet = self.sheet = self._new_sheet()
        for column, value in enumerate(row):
            if value is not None:
                self._write(sheet, column, value)
        self.row_count += 1

    def _write(self, sheet: "Worksheet", column: int, value: object) -> None:
        shown = as_cell(value)
        if isinstance(shown, str):
            style = MARK if isinstance(value, Decimal | int) else TEXT
            sheet.write_string(self.row_count, column, printable(shown), self._style(style))
        elif isinstance(shown, datetime):
            sheet.write_datetime(self.row_count, column, shown, self._style(TIME_FORMAT))
        elif isinstance(shown, Decimal):
            style = number_format(shown, self.names[column])
            sheet.write_number(self.row_count, column, shown, self._style(style))
        else:
            sheet.write(self.row_count, column, shown)

    def _style(self, name: str) -> "Format":
        if (style := self.styles.get(name)) is None:
            properties = _STYLES.get(name, {"num_format": name})
            style = self.styles[name] = self.book.add_format(properties)
        return style


def _length(value: object) -> int:
    """About how many characters a cell needs; at most six digits of a fraction are shown."""
    if value is None:
        return 0
    if isinstance(value, datetime):
        return len(TIME_FORMAT)
    shown = as_cell(value)
    return len(f"{shown:,.6g}") + 4 if isinstance(shown, Decimal) else len(str(shown))
