"""``-O coins.parquet``: a feed for analysis. It needs pyarrow."""

from decimal import Decimal
from io import BytesIO
from typing import Any

from msgspec import Raw
from scrapy.exporters import BaseItemExporter

from coinspider.records.column_types import ARROW_PRECISION, ARROW_SCALE
from coinspider.records.table_item import columns

ROWS = 10_000  # of a row group


class ParquetItemExporter(BaseItemExporter):
    """Amounts as ``decimal(76, 38)``, times as UTC timestamps, objects as JSON text.

    Raises :exc:`ValueError` for an amount that has no room in that.
    """

    def __init__(self, file: BytesIO, **kwargs: Any):
        import pyarrow
        from pyarrow import parquet

        super().__init__(dont_fail=True, **kwargs)
        self.arrow, self.parquet, self.file = pyarrow, parquet, file
        self.rows: list[dict[str, Any]] = []
        self.writer: Any = None

    def export_item(self, item: Any) -> None:
        fields = self.get_serialized_fields(item, include_empty=True)
        row = dict(fields)
        if self.writer is None:
            schema = self._schema(type(item), list(row))
            self.writer = self.parquet.ParquetWriter(self.file, schema)
        self.rows.append(row)
        if len(self.rows) >= ROWS:
            self._write()

    def finish_exporting(self) -> None:
        if self.writer is None:
            self.writer = self.parquet.ParquetWriter(self.file, self.arrow.schema([]))
        if self.rows:
            self._write()
        self.writer.close()

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        if isinstance(value, Raw):
            return bytes(value).decode()
        if isinstance(value, Decimal):
            check_room(name, value)
        return value

    def _write(self) -> None:
        rows, self.rows = self.rows, []
        self.writer.write_table(self.arrow.Table.from_pylist(rows, schema=self.writer.schema))

    def _schema(self, item_class: type, names: list[str]) -> Any:
        arrow = self.arrow
        known = {column.name: column.type.arrow(arrow) for column in columns(item_class)}
        return arrow.schema([(name, known.get(name) or arrow.string()) for name in names])


def check_room(name: str, value: Decimal) -> None:
    exponent = value.as_tuple().exponent
    if value and (not isinstance(exponent, int) or exponent < -ARROW_SCALE
                  or value.adjusted() >= ARROW_PRECISION - ARROW_SCALE):  # fmt: skip
        raise ValueError(f"{name} {value} has no room in decimal({ARROW_PRECISION}, {ARROW_SCALE})")
