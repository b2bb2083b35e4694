"""``-O coins.parquet``: a feed for analysis. It needs pyarrow."""

from decimal import Decimal
from io import BytesIO
from tempfile import TemporaryFile
from typing import Any, Self

from msgspec import Raw
from scrapy.crawler import Crawler
from scrapy.exporters import BaseItemExporter

from coinspider.errors import ConfigurationError
from coinspider.exact_json import encode
from coinspider.export.arrow_columns import ArrowColumn
from coinspider.export.known_columns import (
    NO_COLUMNS,
    KnownColumns,
    columns_without_rows,
    known_columns,
)
from coinspider.export.packages import needed
from coinspider.records.table_item import TableItem, columns

AMOUNTS = ("auto", "double", "text")
ROWS = 10_000  # in a row group


class ParquetItemExporter(BaseItemExporter):
    """Amounts as numbers, times as UTC timestamps, objects as JSON text.

    The type that holds all of a column's amounts is known only at the end; until then the values
    are kept as text, in a temporary file. ``amounts`` is one of :data:`AMOUNTS`; ``known`` are the
    columns of a file without rows, and the types of columns without a value.
    """

    def __init__(
        self, file: BytesIO, *, amounts: str = "auto", known: KnownColumns = NO_COLUMNS,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(dont_fail=True, **kwargs)
        self.arrow = needed("pyarrow", "pyarrow", "a Parquet file")
        if amounts not in AMOUNTS:
            raise ConfigurationError(f"PARQUET_AMOUNTS={amounts}: one of {', '.join(AMOUNTS)}")
        self.file, self.amounts, self.known = file, amounts, known
        self.columns: list[ArrowColumn] = []
        self.rows: list[list[str | None]] = []
        self.spool: Any = None

    @classmethod
    def from_crawler(cls, crawler: Crawler, file: BytesIO, **kwargs: Any) -> Self:
        amounts = crawler.settings.get("PARQUET_AMOUNTS", "auto")
        return cls(file, **{"amounts": amounts, "known": known_columns(crawler)} | kwargs)

    def export_item(self, item: Any) -> None:
        fields = dict(self.get_serialized_fields(item, include_empty=True))
        if not self.columns:
            self._begin(item, list(fields))
        values = [fields.get(column.name) for column in self.columns]
        for column, value in zip(self.columns, values, strict=True):
            column.see(value)
        self.rows.append([_text(value) for value in values])
        if len(self.rows) >= ROWS:
            self._spool_rows()

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        return value

    def finish_exporting(self) -> None:
        from pyarrow import parquet

        if not self.columns:
            self._begin(None, columns_without_rows(self.known, self.fields_to_export))
        fields = [field for column in self.columns for field in column.fields(self.arrow)]
        with parquet.ParquetWriter(self.file, self.arrow.schema(fields)) as writer:
            self._spool_rows()
            self.spool.close()
            self.spooled.seek(0)
            for batch in self.arrow.ipc.open_stream(self.spooled):
                writer.write_batch(self._typed(batch, writer.schema))
        self.spooled.close()

    def _begin(self, item: Any, names: list[str]) -> None:
        declared = {}
        if isinstance(item, TableItem):
            declared = {column.name: column.type for column in columns(type(item))}
        self.columns = [
            ArrowColumn(name, declared.get(name), self.amounts, names, self.known.get(name))
            for name in names
        ]
        self.texts = self.arrow.schema([(name, self.arrow.string()) for name in names])
        self.spooled = TemporaryFile()  # noqa: SIM115 (closed with the feed)
        self.spool = self.arrow.ipc.new_stream(self.spooled, self.texts)

    def _spool_rows(self) -> None:
        rows, self.rows = self.rows, []
        if rows:
            arrays = [
                self.arrow.array(texts, self.arrow.string()) for texts in zip(*rows, strict=True)
            ]
            self.spool.write_batch(self.arrow.record_batch(arrays, schema=self.texts))

    def _typed(self, batch: Any, schema: Any) -> Any:
        arrays = [
            array
            for column, texts in zip(self.columns, batch.columns, strict=True)
            for array in column.arrays(texts, self.arrow)
        ]
        return self.arrow.record_batch(arrays, schema=schema)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Raw):
        return bytes(value).decode()
    return format(value, "f") if isinstance(value, Decimal) else encode(value).decode().strip('"')
