"""``-O coins.parquet``: a feed for analysis. It needs pyarrow."""

import math
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import MAX_PREC, Context, Decimal
from io import BytesIO
from tempfile import TemporaryFile
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from msgspec import Raw
from scrapy.crawler import Crawler

from coinspider.errors import ConfigurationError
from coinspider.exact_json import encode
from coinspider.export.feeds import RowExporter, needed
from coinspider.records.column_types import (
    AMOUNT,
    ARROW_PRECISION,
    ARROW_SCALE,
    BOOLEAN,
    DATE,
    INTEGER,
    LOCAL_TIME,
    TEXT,
    TIME,
    ColumnType,
)
from coinspider.records.table_item import TableItem, columns

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema, StringArray

# For the exact text beside a double that loses digits.
EXACT_SUFFIX = "_exact"
_ALL_DIGITS = Context(prec=MAX_PREC)
# For rows that are not items, such as those of a query. A float is already a double.
_TYPES = {bool: BOOLEAN, int: INTEGER, Decimal: AMOUNT, datetime: TIME, str: TEXT}
AMOUNTS = ("auto", "double", "text")
ROWS = 10_000  # in a row group


class ArrowColumn:
    """Learns from the values of a column which Arrow type holds all of them.

    A column without any has the type ``fallback``. ``amounts`` is ``auto`` (a decimal of 38 digits,
    or else a double and its text), ``double``, or ``text``.
    """

    def __init__(
        self,
        name: str,
        declared: ColumnType | None,
        amounts: str,
        others: Collection[str] = (),
        fallback: ColumnType | None = None,
    ):
        self.name, self.declared, self.amounts = name, declared, amounts
        self.fallback = fallback or TEXT
        self.exact_name = name + EXACT_SUFFIX
        while self.exact_name in others:
            self.exact_name += "_"
        self.python_types: set[type] = set()
        self.whole_digits, self.scale = 0, 0
        self.is_finite = self.is_double = True

    def see(self, value: object) -> None:
        if value is None:
            return
        self.python_types.add(type(value))
        if isinstance(value, Decimal) and self.amounts == "auto":
            self._see_digits(value)
        elif isinstance(value, Decimal) and self.is_double:
            self.is_double = Decimal(repr(float(value))) == value

    def _see_digits(self, value: Decimal) -> None:
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int):
            self.is_finite = False
            return
        if -exponent > self.scale:  # else zeros at its end don't matter
            exponent = int(value.normalize(_ALL_DIGITS).as_tuple().exponent)
            self.scale = max(self.scale, -exponent)
        self.whole_digits = max(self.whole_digits, value.adjusted() + 1)

    @property
    def type(self) -> ColumnType | None:
        """``None`` means double; anything without its own type is text."""
        if self.declared:
            return self.declared
        if not self.python_types or self.fallback in (DATE, LOCAL_TIME):
            return self.fallback
        if self.python_types <= {float, int} and float in self.python_types:
            return None
        found = {_TYPES.get(python_type, TEXT) for python_type in self.python_types}
        return found.pop() if len(found) == 1 else TEXT

    def fields(self, arrow: ModuleType) -> Iterator[tuple[str, object]]:
        """Its columns in the file: one, or a double and a text with all digits."""
        if self.type is None:
            yield self.name, arrow.float64()
        elif self.type is not AMOUNT:
            yield self.name, self.type.arrow(arrow)
        elif self.amounts == "text":
            yield self.name, arrow.string()
        elif self.amounts == "auto" and (scale := self._decimal_scale()) is not None:
            yield self.name, arrow.decimal128(ARROW_PRECISION, scale)
        else:
            yield self.name, arrow.float64()
            if self.amounts == "auto" or not self.is_double:
                yield self.exact_name, arrow.string()

    def arrays(self, texts: "StringArray", arrow: ModuleType) -> Iterator[object]:
        """The values of each of them, from an array of their texts."""
        for _, arrow_type in self.fields(arrow):
            if arrow_type == arrow.string():
                yield texts
            elif arrow_type == arrow.float64():
                yield arrow.array(map(_as_double, texts.to_pylist()), arrow_type)
            else:
                yield texts.cast(arrow_type)

    def _decimal_scale(self) -> int | None:
        """The usual decimal type, so that files of a table agree, or one with enough room."""
        if not self.is_finite:
            return None
        if self.whole_digits <= ARROW_PRECISION - ARROW_SCALE and self.scale <= ARROW_SCALE:
            return ARROW_SCALE
        has_room = self.whole_digits + self.scale <= ARROW_PRECISION
        return self.scale if has_room else None


def _as_double(text: str | None) -> float | None:
    """Null if no double is close: 1e400 is not infinite."""
    if text is None:
        return None
    value = float(text)
    return None if math.isinf(value) and "inf" not in text.lower() else value


class ParquetItemExporter(RowExporter):
    """Amounts as numbers, times as UTC timestamps, objects as JSON text.

    The type that holds all of a column's amounts is known only at the end; until then the values
    are kept as text, in a temporary file. ``amounts`` is one of :data:`AMOUNTS`; ``known`` are the
    columns of a file without rows, and the types of columns without a value.
    """

    def __init__(self, file: BytesIO, *, amounts: str = "auto", **kwargs: Any):
        super().__init__(file, **kwargs)
        self.arrow = needed("pyarrow", "pyarrow", "a Parquet file")
        if amounts not in AMOUNTS:
            raise ConfigurationError(f"PARQUET_AMOUNTS={amounts}: one of {', '.join(AMOUNTS)}")
        self.amounts = amounts
        self.columns: list[ArrowColumn] = []
        self.rows: list[list[str | None]] = []

    @classmethod
    def from_crawler(cls, crawler: Crawler, file: BytesIO, **kwargs: Any) -> Self:
        amounts = crawler.settings.get("PARQUET_AMOUNTS", "auto")
        return super().from_crawler(crawler, file, **{"amounts": amounts} | kwargs)

    def begin(self, item: object, names: list[str]) -> None:
        super().begin(item, names)
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

    def write_row(self, row: list[object]) -> None:
        for column, value in zip(self.columns, row, strict=True):
            column.see(value)
        self.rows.append([_text(value) for value in row])
        if len(self.rows) >= ROWS:
            self._spool_rows()

    def finish_exporting(self) -> None:
        from pyarrow import parquet

        super().finish_exporting()
        fields = [field for column in self.columns for field in column.fields(self.arrow)]
        with parquet.ParquetWriter(self.file, self.arrow.schema(fields)) as writer:
            self._spool_rows()
            self.spool.close()
            self.spooled.seek(0)
            for batch in self.arrow.ipc.open_stream(self.spooled):
                writer.write_batch(self._typed(batch, writer.schema))
        self.spooled.close()

    def _spool_rows(self) -> None:
        rows, self.rows = self.rows, []
        if rows:
            arrays = [
                self.arrow.array(texts, self.arrow.string()) for texts in zip(*rows, strict=True)
            ]
            self.spool.write_batch(self.arrow.record_batch(arrays, schema=self.texts))

    def _typed(self, batch: "RecordBatch", schema: "Schema") -> "RecordBatch":
        arrays = [
            array
            for column, texts in zip(self.columns, batch.columns, strict=True)
            for array in column.arrays(texts, self.arrow)
        ]
        return self.arrow.record_batch(arrays, schema=schema)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Raw):
        return bytes(value).decode()
    return format(value, "f") if isinstance(value, Decimal) else encode(value).decode().strip('"')
