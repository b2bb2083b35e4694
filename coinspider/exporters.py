"""JSON, JSON lines and CSV feeds whose numbers carry the digits of the API."""

from io import BytesIO
from typing import Any

import msgspec
from scrapy.exporters import CsvItemExporter, JsonItemExporter, JsonLinesItemExporter

_encode = msgspec.json.Encoder(decimal_format="number").encode


class _ExactEncoder:
    """Stands in for Scrapy's JSON encoder, which writes a ``Decimal`` as a string."""

    def __init__(self, indent: int | None):
        self.indent = indent

    def encode(self, fields: dict[str, Any]) -> str:
        text = _encode(fields)
        return (msgspec.json.format(text, indent=self.indent) if self.indent else text).decode()


class ExactJsonItemExporter(JsonItemExporter):
    """One JSON array."""

    def __init__(self, file: BytesIO, **kwargs: Any):
        super().__init__(file, **kwargs)
        self.encoder = _ExactEncoder(self.indent)


class ExactJsonLinesItemExporter(JsonLinesItemExporter):
    """One JSON object a line."""

    def __init__(self, file: BytesIO, **kwargs: Any):
        super().__init__(file, **kwargs)
        self.encoder = _ExactEncoder(indent=None)


class ExactCsvItemExporter(CsvItemExporter):
    """Amounts with the digits of the API, times as ISO 8601, ``extra`` as JSON."""

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return _encode(value).decode().strip('"')
