"""The keys of a page's records, whatever else the records hold."""

from typing import ClassVar

import pytest
from msgspec import Raw, field

from coinspider.items import FullCoin
from coinspider.records.keys import record_keys
from coinspider.records.table_item import Key, TableItem

CONSTANTS = {"vs_currency": "usd"}


class Pair(TableItem, kw_only=True):
    table: ClassVar[str] = "pair"
    symbol: Key
    exchange: Key = field(name="exchangeId")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b'{"symbol":"s","id":"a","name":"n"}', "a"),
        (b'{"id":"\\u0061"}', "a"),
        ('{"id":"火"}'.encode(), "火"),
        (b'{"id":34}', 34),
        (b'{"id":"a","symbol":NaN}', "a"),
        (b'{"id":"a","symbol":"\xff"}', "a"),
        (b'{"id":"a","rank":1e999999}', "a"),
        (b'{"id":"a\\u0000"}', "a\ufffd"),
        (b'{"id":"\\ud800","x":NaN}', "?"),
        (b'{"name":"whose?"}', None),
        (b'{"id":null}', None),
        (b'{"id":["a"]}', None),
        (b'["a"]', None),
        (b"7", None),
        (b"[" * 100_000, None),
        (b'{"id":"a', None),
    ],
)
@pytest.mark.parametrize("neighbours", [[], [b'{"id":"b"}'], [b"NaN"]], ids=str)
def test_key_is_read_or_unknown(text, key, neighbours):
    found = record_keys([Raw(text), *map(Raw, neighbours)], FullCoin, CONSTANTS)
    assert found[0] == key
    assert len(found) == 1 + len(neighbours)


def test_key_of_several_fields_is_all_of_them():
    texts = [Raw(b'{"symbol":"a","exchangeId":"x"}'), Raw(b'{"symbol":"a"}')]
    assert record_keys(texts, Pair, {}) == [("a", "x"), None]
