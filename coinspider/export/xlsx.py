"""``-O coins.xlsx``: a feed for Excel. It needs openpyxl."""

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
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

# Excel keeps 15 digits of a number, and has no days before 1900:
# https://support.microsoft.com/en-us/office/1672b34d-7043-467e-8e27-269d656771c3
DIGITS_MAX = 15
SIZE_MAX = 300  # powers of ten
FIRST_YEAR, LAST_TIME = 1900, datetime(9999, 12, 31, 23, 59, 59, 999_000)  # noqa: DTZ001 (UTC)
CELL_MAX = 32_767  # characters
DECIMALS_MAX = 20
PERCENTAGE = '[Color10]+0.00"%";[Red]-0.00"%";0.00"%"'
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Excel reads _x0041_ as an A: https://learn.microsoft.com/openspecs/office_standards/ms-oi29500
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# https://support.microsoft.com/en-us/office/1672b34d-7043-467e-8e27-269d656771c3
ROWS_MAX = 1_048_576
TIME_FORMAT = "yyyy-mm-dd hh:mm:ss.000"
WIDTH_LEAST, WIDTH_MOST = 8, 40  # characters
TITLE_MAX = 25  # characters of 31, because a number may follow
_NO_TITLE = re.compile(r"[\\/*?:\[\]']")
SAMPLE = 200  # rows from which the widths are computed
# Keys of styles, beside number formats; MARK is also its colour.
HEADER, TEXT, MARK = "header", "@", "FFF2CC"
NOTE = (
    "A yellow cell is a number with all its digits, as text: Excel would keep 15 of them.",
    "Times are UTC.",
)


def as_cell(value: object) -> object:
    """A number or a time if a cell can hold all its digits, else text."""
    convert = _CELLS.get(type(value))
    return convert(value) if convert else value


def _amount_cell(value: Decimal) -> Decimal | str:
    return value if _fits(value) else format(value, "f")


def _integer_cell(value: int) -> int | str:
    return value if abs(value) < 10**DIGITS_MAX else str(value)


def _time_cell(value: datetime) -> datetime | str:
    moment = in_utc(value)
    is_date = moment and moment.year > FIRST_YEAR and moment <= LAST_TIME
    return moment if moment and is_date else value.isoformat()


_CELLS: dict[type, Callable[[Any], object]] = {
    Decimal: _amount_cell,
    int: _integer_cell,
    datetime: _time_cell,
    Raw: lambda value: bytes(value).decode(),
}


def printable(text: str) -> str:
    """A text that XML and Excel accept: without control characters, and cut to fit a cell."""
    visible = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return shortened(_ESCAPE.sub("_x005F_", visible), CELL_MAX)


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
        self.book = needed("openpyxl", "openpyxl", "a file for Excel").Workbook(write_only=True)
        self.waiting: list[list[object]] = []
        self.widths: list[int] = []
        self.sheet: WriteOnlyWorksheet = None
        self.row_count = 0
        self.cells: dict[tuple[str, str], WriteOnlyCell] = {}

    def begin(self, item: object, names: list[str]) -> None:
        super().begin(item, names)
        noun = item.noun if isinstance(item, TableItem) else "row"
        self.title = self.title or (_NO_TITLE.sub(" ", f"{noun}s")[:TITLE_MAX] if item else "rows")

    def write_row(self, row: list[object]) -> None:
        if self.sheet is not None:
            self._append(row)
            return
        self.waiting.append(row)
        if len(self.waiting) >= SAMPLE:
            self._begin()

    def finish_exporting(self) -> None:
        super().finish_exporting()
        if self.sheet is None:
            self._begin()
        self._end_sheet()
        notes = self.book.create_sheet("notes")
        notes.column_dimensions["A"].width = 2 * WIDTH_MOST
        for line in NOTE:
            notes.append([line])
        # A feed's file is opened for appending, and a ZIP archive can't be written that way.
        archive = BytesIO()
        self.book.save(archive)
        self.file.write(archive.getvalue())

    def _begin(self) -> None:
        rows, self.waiting = self.waiting, []
        for number, name in enumerate(self.names):
            longest = max([len(name), *(_length(row[number]) for row in rows)])
            self.widths.append(min(max(longest, WIDTH_LEAST), WIDTH_MOST) + 2)
        self._begin_sheet()
        for row in rows:
            self._append(row)

    def _begin_sheet(self) -> None:
        from openpyxl.utils import get_column_letter

        number = len(self.book.worksheets)
        self.sheet = self.book.create_sheet(f"{self.title} {number + 1}" if number else self.title)
        self.row_count, self.cells = 0, {}
        self.sheet.freeze_panes = "A2"
        for column, width in enumerate(self.widths, 1):
            self.sheet.column_dimensions[get_column_letter(column)].width = width
        if self.names:
            self.sheet.append([self._header(name) for name in self.names])
            self.row_count = 1

    def _end_sheet(self) -> None:
        from openpyxl.utils import get_column_letter

        if self.names:
            last = f"{get_column_letter(len(self.names))}{self.row_count}"
            self.sheet.auto_filter.ref = f"A1:{last}"

    def _append(self, row: list[object]) -> None:
        if self.row_count == ROWS_MAX:
            self._end_sheet()
            self._begin_sheet()
        self.sheet.append([self._cell(v, n) for n, v in zip(self.names, row, strict=True)])
        self.row_count += 1

    def _header(self, name: str) -> "WriteOnlyCell":
        from openpyxl.styles import Font

        cell = self._styled(name, HEADER)
        cell.value, cell.data_type, cell.font = printable(name), "s", Font(bold=True)
        return cell

    def _cell(self, value: object, name: str) -> object:
        if value is None:
            return None
        shown = as_cell(value)
        if isinstance(shown, str):
            cell = self._styled(name, MARK if isinstance(value, Decimal | int) else TEXT)
            cell.value = printable(shown)
            cell.data_type = "s"  # never a formula
            return cell
        if isinstance(shown, datetime):
            cell = self._styled(name, TIME_FORMAT)
        elif isinstance(shown, Decimal):
            cell = self._styled(name, number_format(shown, name))
        else:
            return shown
        cell.value = shown
        return cell

    def _styled(self, name: str, style: str) -> "WriteOnlyCell":
        """A column's cell with a style, reused: each row is written before the next is made."""
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Alignment, PatternFill

        if (cell := self.cells.get((name, style))) is None:
            cell = self.cells[name, style] = WriteOnlyCell(self.sheet)
            if style == MARK:
                cell.fill = PatternFill("solid", fgColor=MARK)
                cell.alignment = Alignment(horizontal="right")
            elif style != HEADER:
                cell.number_format = style
        return cell


def _length(value: object) -> int:
    """About how many characters a cell needs; at most six digits of a fraction are shown."""
    if value is None:
        return 0
    if isinstance(value, datetime):
        return len(TIME_FORMAT)
    shown = as_cell(value)
    return len(f"{shown:,.6g}") + 4 if isinstance(shown, Decimal) else len(str(shown))
