"""The database's content, compared with an independent reading of what the API sent."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from coinspider.items import FullCoin
from coinspider.records.table_item import AMOUNT, columns

COLUMNS = [column.name for column in columns(FullCoin)]
JSON_KEYS = {
    c.name: c.json_key for c in columns(FullCoin) if c.name not in ("vs_currency", "extra")
}
AMOUNTS = {c.name for c in columns(FullCoin) if c.type is AMOUNT}
SELECT = f"SELECT {', '.join(COLUMNS[:-1])}, extra::text FROM full_coin"  # noqa: S608


def expected_row(text: str, vs_currency: str) -> dict[str, Any]:
    """The row for a record, read with nothing but ``json`` and ``decimal``."""
    record = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    row = {name: record.pop(key, None) for name, key in JSON_KEYS.items()}
    for name, value in row.items():
        if name.endswith(("_date", "_updated")) and value:
            row[name] = datetime.fromisoformat(value)
        elif isinstance(value, str) and name in AMOUNTS:
            row[name] = Decimal(value)
    return row | {"vs_currency": vs_currency, "extra": record}


def stored_rows(query: Any) -> dict[str, dict[str, Any]]:
    """The rows of ``full_coin`` by coin id."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in query(SELECT)]
    for row in rows:
        row["extra"] = json.loads(row["extra"], parse_float=Decimal, parse_int=Decimal)
    return {row["coin_id"]: row for row in rows}


def digits(row: dict[str, Any]) -> dict[str, Any]:
    """Amounts as PostgreSQL's ``numeric`` shows them, so that 7.0 and 7 are different."""
    return {
        name: format(value, "f") if name in AMOUNTS and isinstance(value, Decimal) else value
        for name, value in row.items()
    }
