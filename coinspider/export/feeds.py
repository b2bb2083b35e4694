"""JSON, JSON lines and CSV feeds whose numbers have the API's own digits."""

from io import BytesIO
from typing import Any, Self

import msgspec
from scrapy.crawler import Crawler
from scrapy.exporters import CsvItemExporter, JsonItemExporter, JsonLinesItemExporter
from scrapy.utils.serialize import ScrapyJSONEncoder

from coinspider.exact_json import encode
from coinspider.text import without_formula

NO_WHITE_SPACE = -1


class _ExactEncoder(ScrapyJSONEncoder):
    """Writes a ``Decimal`` as a number; Scrapy's own encoder makes it a string."""

    def __init__(self, indent: int | None):
        super().__init__()
        self.exact_indent = indent

    def encode(self, o: Any) -> str:
        text = encode(o)
        return (
            msgspec.json.format(text, indent=self.exact_indent) if self.exact_indent else text
        ).decode()


class ExactJsonItemExporter(JsonItemExporter):
    """One JSON array."""

    def __init__(self, file: BytesIO, **kwargs: Any):
        super().__init__(file, **kwargs)
        self.encoder = _ExactEncoder(self.indent)


class ExactJsonLinesItemExporter(JsonLinesItemExporter):
    """One JSON object per line."""

    def __init__(self, file: BytesIO, **kwargs: Any):
        super().__init__(file, **kwargs)
        # Line breaks of the API, in extra, would split the line.
        self.encoder = _ExactEncoder(indent=NO_WHITE_SPACE)


class ExactCsvItemExporter(CsvItemExporter):
    """Amounts with the API's own digits, times as ISO 8601, ``extra`` as JSON.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, unless
    ``formulas_escaped`` is false.
    """

    def __init__(self, file: BytesIO, *, formulas_escaped: bool = True, **kwargs: Any):
        super().__init__(file, **kwargs)
        self.formulas_escaped = formulas_escaped

    @classmethod
    def from_crawler(cls, crawler: Crawler, file: BytesIO, **kwargs: Any) -> Self:
        escaped = crawler.settings.getbool("CSV_FORMULAS_ESCAPED", True)
        return cls(file, **{"formulas_escaped": escaped} | kwargs)

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return without_formula(value) if self.formulas_escaped else value
        return None if value is None else encode(value).decode().strip('"')
