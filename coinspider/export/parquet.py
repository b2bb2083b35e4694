"""``-O coins.parquet``: a feed for analysis. It needs pyarrow."""

import math
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from tempfile import TemporaryFile
from types import ModuleType, NoneType
from typing import TYPE_CHECKING, Any, Self

from msgspec import Raw
from scrapy.crawler import Crawler

from coinspider.errors import ConfigurationError
from coinspider.export.feeds import RowExporter, needed
from coinspider.records.table_item import (
    AMOUNT,
    BOOLEAN,
    DATE,
    INTEGER,
    LOCAL_TIME,
    TEXT,
    TIME,
    ColumnType,
    TableItem,
    columns,
)
from coinspider.text import exact, exact_json

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema, StringArray

# For the text beside a double, where that loses digits.
EXACT_SUFFIX = "_exact"
# For rows that are not items, such as those of a query. A float is already a double.
_TYPES = {bool: BOOLEAN, int: INTEGER, Decimal: AMOUNT, datetime: TIME, str: TEXT}
AMOUNTS = ("auto", "double", "text")
ROWS = 10_000  # in a row group


class ArrowColumn:
    """Learns from the values of a column which Arrow type holds all of them.

    A column without any has the type ``fallback``. ``amounts`` is ``auto`` (a double, and its text
    where that has more digits), ``double``, or ``text``: the same types whatever the values are, so
    that files of different days fit together.
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

    def see(self, values: Iterable[object]) -> None:
        self.python_types |= set(map(type, values)) - {NoneType}

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
        """Its columns in the file: one, or a double and a text for what that does not hold."""
        if self.type is AMOUNT and self.amounts == "text":
            yield self.name, arrow.string()
        elif self.type and self.type is not AMOUNT:
            yield self.name, self.type.arrow(arrow)
        else:
            yield self.name, arrow.float64()
            if self.type and self.amounts == "auto":
                yield self.exact_name, arrow.string()

    def arrays(self, texts: "StringArray", arrow: ModuleType) -> Iterator[object]:
        """The values of each of them, from an array of their texts."""
        (_, arrow_type), *exact = self.fields(arrow)
        if arrow_type != arrow.float64():
            yield texts if arrow_type == arrow.string() else texts.cast(arrow_type)
            return
        given = texts.to_pylist()
        doubles = list(map(_as_double, given))
        yield arrow.array(doubles, arrow_type)
        if exact:
            yield arrow.array(map(_unless_held, given, doubles), arrow.string())


def _as_double(text: str | None) -> float | None:
    """Null if no double is close: 1e400 is not infinite, and 1e-400 not 0."""
    if text is None:
        return None
    value = float(text)
    is_lost = (math.isinf(value) and "inf" not in text.lower()) or (not value and Decimal(text))
    return None if is_lost else value


def _unless_held(text: str | None, double: float | None) -> str | None:
    """The text, where the double has other digits."""
    if text is None or double is None:
        return text
    shown = repr(double)
    is_held = shown in (text, f"{text}.0") or Decimal(shown) == Decimal(text)
    return None if is_held else text


class ParquetItemExporter(RowExporter):
    """Amounts as numbers, times as UTC timestamps, objects as JSON text.

    The type that holds all of a column's values is known only at the end; until then the values
    are kept as text, in a temporary file. ``amounts`` is one of :data:`AMOUNTS`; ``known`` are the
    columns of a file without rows, and the types of columns without a value.
    """

    def __init__(self, file: BytesIO, *, amounts: str = "auto", **kwargs: Any):
        super().__init__(file, **kwargs)
        self.arrow = needed("pyarrow", "a Parquet file")
        if amounts not in AMOUNTS:
            raise ConfigurationError(f"PARQUET_AMOUNTS={amounts}: one of {', '.join(AMOUNTS)}")
        self.amounts = amounts
        self.columns: list[ArrowColumn] = []
        self.rows: list[list[object]] = []

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
        self.rows.append(row)
        if len(self.rows) >= ROWS:
            self._spool_rows()

    def finish_exporting(self) -> None:
        from pyarrow import parquet

        super().finish_exporting()
        self._spool_rows()
        fields = [field for column in self.columns for field in column.fields(self.arrow)]
        with parquet.ParquetWriter(self.file, self.arrow.schema(fields)) as writer:
            self.spool.close()
            self.spooled.seek(0)
            for batch in self.arrow.ipc.open_stream(self.spooled):
                writer.write_batch(self._typed(batch, writer.schema))
        self.spooled.close()

    def _spool_rows(self) -> None:
        rows, self.rows = self.rows, []
        if not rows:
            return
        arrays = []
        for column, values in zip(self.columns, zip(*rows, strict=True), strict=True):
            column.see(values)
            arrays.append(self.arrow.array(map(_text, values), self.arrow.string()))
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
    return exact(value) if isinstance(value, Decimal) else exact_json(value).decode().strip('"')
