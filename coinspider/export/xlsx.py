"""``-O coins.xlsx``: a feed for Excel. It needs openpyxl."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

from msgspec import Raw
from scrapy.exporters import BaseItemExporter

# Excel keeps 15 digits of a number, and has no days before 1900:
# https://support.microsoft.com/en-us/office/1672b34d-7043-467e-8e27-269d656771c3
DIGITS_MAX = 15
FIRST_YEAR = 1900
TIME_FORMAT = "yyyy-mm-dd hh:mm:ss.000"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class XlsxItemExporter(BaseItemExporter):
    """A sheet with a frozen header; times are UTC.

    A number that Excel would round is text, with all its digits; a text is never a formula.
    """

    def __init__(self, file: BytesIO, **kwargs: Any):
        from openpyxl import Workbook

        super().__init__(dont_fail=True, **kwargs)
        self.file, self.book = file, Workbook(write_only=True)
        self.sheet: Any = None

    def export_item(self, item: Any) -> None:
        fields = list(self.get_serialized_fields(item, include_empty=True))
        if self.sheet is None:
            self._begin([name for name, _ in fields])
        self.sheet.append([self._cell(value) for _, value in fields])

    def finish_exporting(self) -> None:
        if self.sheet is None:
            self._begin([])
        # A feed's file is open for appending, in which a ZIP archive can't be written.
        archive = BytesIO()
        self.book.save(archive)
        self.file.write(archive.getvalue())

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        return value

    def _begin(self, names: list[str]) -> None:
        self.sheet = self.book.create_sheet("coins")
        self.sheet.freeze_panes = "A2"
        if names:
            self.sheet.append(names)

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell

        value = as_cell(value)
        cell = WriteOnlyCell(self.sheet, value)
        if isinstance(value, str):
            cell.data_type = "s"
        elif isinstance(value, datetime):
            cell.number_format = TIME_FORMAT
        return cell


def as_cell(value: Any) -> Any:
    """A number or a time where Excel can hold it, else text."""
    if isinstance(value, Decimal):
        digits = len(value.normalize().as_tuple().digits)
        fits = digits <= DIGITS_MAX and -300 < value.adjusted() < 300
        return value if fits else format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**DIGITS_MAX else str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return moment if moment.year > FIRST_YEAR else value.isoformat()
    if isinstance(value, Raw):
        value = bytes(value).decode()
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
    return value
