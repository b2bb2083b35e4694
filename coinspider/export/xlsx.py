"""``-O coins.xlsx``: a feed for Excel. It needs openpyxl."""

import re
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, Self

from scrapy.crawler import Crawler
from scrapy.exporters import BaseItemExporter

from coinspider.export.known_columns import (
    NO_COLUMNS,
    KnownColumns,
    columns_without_rows,
    known_columns,
)
from coinspider.export.packages import needed
from coinspider.export.spreadsheet import as_cell, number_format, printable
from coinspider.records.table_item import TableItem

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


class XlsxItemExporter(BaseItemExporter):
    """A sheet with a frozen header, a filter, widths and number formats; times are UTC.

    A number that Excel would round becomes text with all its digits, on yellow; text is never a
    formula. Rows beyond Excel's maximum go to another sheet. ``known`` are the columns of a file
    without rows.
    """

    def __init__(
        self, file: BytesIO, *, sheet: str = "", known: KnownColumns = NO_COLUMNS, **kwargs: Any
    ):
        super().__init__(dont_fail=True, **kwargs)
        self.known = known
        self.file, self.title = file, sheet
        self.book = needed("openpyxl", "openpyxl", "a file for Excel").Workbook(write_only=True)
        self.names: list[str] = []
        self.waiting: list[list[Any]] = []
        self.widths: list[int] = []
        self.sheet: Any = None
        self.row_count = 0
        self.cells: dict[tuple[str, str], Any] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler, file: BytesIO, **kwargs: Any) -> Self:
        return cls(file, **{"known": known_columns(crawler)} | kwargs)

    def export_item(self, item: Any) -> None:
        fields = dict(self.get_serialized_fields(item, include_empty=True))
        if not self.names:
            self.names = list(fields)
            noun = item.noun if isinstance(item, TableItem) else "row"
            self.title = self.title or _NO_TITLE.sub(" ", f"{noun}s")[:TITLE_MAX]
        row = [fields.get(name) for name in self.names]
        if self.sheet is None:
            self.waiting.append(row)
            if len(self.waiting) >= SAMPLE:
                self._begin()
        else:
            self._append(row)

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        return value

    def finish_exporting(self) -> None:
        self.names = self.names or columns_without_rows(self.known, self.fields_to_export)
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
        self.sheet = self.book.create_sheet(
            f"{self.title or 'rows'} {number + 1}" if number else self.title or "rows"
        )
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

    def _append(self, row: list[Any]) -> None:
        if self.row_count == ROWS_MAX:
            self._end_sheet()
            self._begin_sheet()
        self.sheet.append([self._cell(v, n) for n, v in zip(self.names, row, strict=True)])
        self.row_count += 1

    def _header(self, name: str) -> Any:
        from openpyxl.styles import Font

        cell = self._styled(name, HEADER)
        cell.value, cell.data_type, cell.font = printable(name), "s", Font(bold=True)
        return cell

    def _cell(self, value: Any, name: str) -> Any:
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

    def _styled(self, name: str, style: str) -> Any:
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


def _length(value: Any) -> int:
    """About how many characters a cell needs; at most six digits of a fraction are shown."""
    if value is None:
        return 0
    if isinstance(value, datetime):
        return len(TIME_FORMAT)
    shown = as_cell(value)
    return len(f"{shown:,.6g}") + 4 if isinstance(shown, Decimal) else len(str(shown))
