"""Writes items with an exporter, without a crawl."""

from io import BytesIO
from typing import Any

from coinspider.items import FullCoin


def coin(**fields: Any) -> FullCoin:
    """A coin with its key and these fields."""
    return FullCoin(**{"coin_id": "a", "vs_currency": "eur", "symbol": "s", "name": "n"} | fields)


def export(exporter_class: type, *items: FullCoin, **options: Any) -> BytesIO:
    """The file that an exporter writes."""
    exporter = exporter_class(file := BytesIO(), **options)
    exporter.start_exporting()
    for item in items:
        exporter.export_item(item)
    exporter.finish_exporting()
    file.seek(0)
    return file
