"""Records of coins: real ones, made ones, and what each should become."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from coinspider.errors import CoercionError
from coinspider.items import FullCoin
from coinspider.records.coercion import DIGITS_MAX, coerce
from coinspider.records.record import Record, Source, split_page
from tests.helpers.processes import DATA

REAL = DATA / "coins_markets_eur_2025-03-04.json"
REAL_TEXTS = [bytes(text) for text in split_page(REAL.read_bytes())]
SOURCE = Source("https://api.example/coins", FullCoin, {"vs_currency": "eur"})
REQUIRED = {"id": '"bitcoin"', "symbol": '"btc"', "name": '"Bitcoin"'}
SPANS = ["1h", "24h", "7d", "14d", "30d", "200d", "1y"]
AMOUNTS = [
    *("current_price", "market_cap", "fully_diluted_valuation", "total_volume"),
    *("high_24h", "low_24h", "price_change_24h", "price_change_percentage_24h"),
    *("market_cap_change_24h", "market_cap_change_percentage_24h"),
    *("circulating_supply", "total_supply", "max_supply"),
    *("ath", "ath_change_percentage", "atl", "atl_change_percentage"),
    *(f"price_change_percentage_{span}_in_currency" for span in SPANS),
]
RANKS = ["market_cap_rank", "market_cap_rank_with_rehypothecated"]
TIMES = ["ath_date", "atl_date", "last_updated"]
NULLABLE = [*AMOUNTS, *TIMES, *RANKS, "image"]
MOMENT = '"2025-01-20T07:16:25.271Z"'
PROPERTY = settings(max_examples=150)


def record_text(**texts: str) -> str:
    """A record with the required fields, and these texts of others."""
    return "{" + ", ".join(f'"{key}": {text}' for key, text in (REQUIRED | texts).items()) + "}"


def coerced(text: str | bytes) -> FullCoin:
    """The item of a record by itself."""
    return coerce(Record(Raw(text.encode() if isinstance(text, str) else text), SOURCE))


def read_independently(text: str | bytes) -> dict[str, Any]:
    """The expected item, read with nothing but ``json`` and ``decimal``."""
    sent = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    fields = {key: sent.pop(key, None) for key in (*REQUIRED, *NULLABLE)}
    fields |= {key: Decimal(fields[key]) for key in AMOUNTS if fields[key] is not None}
    fields |= {key: datetime.fromisoformat(fields[key].upper()) for key in TIMES if fields[key]}
    fields |= {key: int(Decimal(fields[key])) for key in RANKS if fields[key] is not None}
    return fields | {"coin_id": fields.pop("id"), "vs_currency": "eur", "extra": sent}


def as_read(item: FullCoin) -> dict[str, Any]:
    """An item in the form of :func:`read_independently`."""
    extra = json.loads(bytes(item.extra), parse_float=Decimal, parse_int=Decimal)
    fields = msgspec.structs.asdict(item)
    assert fields.pop("roi") is UNSET, "it has no column, so it belongs only into extra"
    return fields | {"extra": extra}


def exact(fields: dict[str, Any]) -> dict[str, Any]:
    """Distinguishes ``1.0`` from ``1``, which ``==`` does not; ``-0`` is still ``0``."""
    return {
        name: (value, *value.as_tuple()[1:]) if isinstance(value, Decimal) else value
        for name, value in fields.items()
    }


def wrong(keys: list[str], **texts: str) -> list[Any]:
    """Parameters: each key with each of these texts, which don't fit it."""
    return [
        pytest.param(key, text, id=f"{key} {name}") for key in keys for name, text in texts.items()
    ]


NEVER_RIGHT = {"bool": "true", "array": "[]", "object": "{}"}
numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
strings = st.builds(json.dumps, st.text(max_size=20), ensure_ascii=st.booleans())
oddities = st.sampled_from([
    "null", "true", "[]", '{"a": [1.50]}', "NaN", '"NaN"', r'"\ud800"', r'"\u0000"', '"1.50"',
    '"7"', MOMENT, "9223372036854775808", "1e20", "-0", "{", ",",
])  # fmt: skip
keys = st.sampled_from([*REQUIRED, *NULLABLE, "roi", "extra"])
records = st.builds(
    lambda amounts, others: record_text(**amounts | others),
    st.dictionaries(st.sampled_from(AMOUNTS), numbers | st.just("null")),
    st.dictionaries(keys, numbers | strings | oddities, max_size=2),
)


def is_too_long(text: str) -> bool:
    number = Decimal(text)
    return bool(number) and abs(number.adjusted()) > DIGITS_MAX


# 22 digits and 980 zeros: two more than a number may have.
TOO_LONG = "1000000000000000000000E980"


def assert_exact_or_refused(text: str | bytes) -> None:
    try:
        item = coerced(text)
    except CoercionError:
        return
    assert exact(as_read(item)) == exact(read_independently(text))
