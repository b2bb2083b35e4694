"""What other modules learn from an item class, and an item as a mapping."""

from decimal import Decimal
from typing import ClassVar

import pytest
from itemadapter import ItemAdapter, is_item
from msgspec import UNSET, Raw, field

from coinspider.items import FullCoin
from coinspider.records.table_item import (
    AMOUNT,
    INTEGER,
    JSON,
    NO_EXTRA,
    TEXT,
    TIME,
    Amount,
    Column,
    ColumnType,
    Integer,
    Key,
    NoColumn,
    TableItem,
    Time,
    Version,
    columns,
    primary_key,
)

API_FIELDS = [
    "id", "symbol", "name", "image", "current_price", "market_cap", "market_cap_rank",
    "fully_diluted_valuation", "total_volume", "high_24h", "low_24h", "price_change_24h",
    "price_change_percentage_24h", "market_cap_change_24h", "market_cap_change_percentage_24h",
    "circulating_supply", "total_supply", "max_supply", "ath", "ath_change_percentage", "ath_date",
    "atl", "atl_change_percentage", "atl_date", "last_updated",
]  # fmt: skip

FIELDS_BY_PARAMETER = [
    "market_cap_rank_with_rehypothecated",
    *(
        f"price_change_percentage_{span}_in_currency"
        for span in ("1h", "24h", "7d", "14d", "30d", "200d", "1y")
    ),
]


class Trade(TableItem, kw_only=True):
    table: ClassVar[str] = "trade"

    market: Key
    number: Integer = field(name="no")
    trade_id: Key = field(name="id")
    price: Amount
    fee: Amount | None = None
    note: str | None = None
    placed: Time | None = None
    route: NoColumn = UNSET
    seen: Version


@pytest.fixture
def trade() -> Trade:
    return Trade(
        market="btc-usd", number=7, trade_id="a", price=Decimal("1.50"), seen="2025-03-04T10:00:00Z"
    )


def column(name: str, type_: ColumnType, **marks: object) -> Column:
    defaults = {"json_key": name, "required": True, "primary_key": False, "version": False}
    return Column(name=name, type=type_, **(defaults | marks))


def test_columns_describe_the_declared_fields():
    assert columns(Trade) == (
        column("market", TEXT, primary_key=True),
        column("number", INTEGER, json_key="no"),
        column("trade_id", TEXT, json_key="id", primary_key=True),
        column("price", AMOUNT),
        column("fee", AMOUNT, required=False),
        column("note", TEXT, required=False),
        column("placed", TIME, required=False),
        column("seen", TIME, version=True),
        column("extra", JSON),
    )


def test_the_primary_key_has_its_columns_in_the_order_of_the_fields():
    assert primary_key(Trade) == ["market", "trade_id"]


def test_an_item_has_no_extra_by_default(trade):
    assert trade.extra == NO_EXTRA == Raw(b"{}")


def test_full_coin_has_a_column_for_each_field_of_the_api():
    keys = [c.json_key for c in columns(FullCoin) if c.name not in ("vs_currency", "extra")]
    assert keys == [*API_FIELDS[:-1], *FIELDS_BY_PARAMETER, API_FIELDS[-1]]


def test_full_coin_is_one_row_per_coin_and_currency():
    assert primary_key(FullCoin) == ["coin_id", "vs_currency"]


def test_full_coin_requires_only_what_is_never_null():
    required = {c.name for c in columns(FullCoin) if c.required}
    assert required == {"coin_id", "vs_currency", "symbol", "name", "extra"}


def test_full_coins_version_is_its_last_update():
    assert [c.name for c in columns(FullCoin) if c.version] == ["last_updated"]


def test_scrapy_accepts_an_item(trade):
    assert is_item(trade)
    assert not is_item(object())


def test_the_adapter_reads_fields_by_name(trade):
    adapter = ItemAdapter(trade)
    assert adapter["price"] == Decimal("1.50")
    assert adapter["fee"] is None
    assert adapter.get("nothing", "default") == "default"
    assert "price" in adapter
    assert "nothing" not in adapter


@pytest.mark.parametrize("name", ["nothing", "table", "__class__", "id", "route"])
def test_the_adapter_knows_only_fields(trade, name):
    with pytest.raises(KeyError, match=name):
        ItemAdapter(trade)[name]


def test_the_adapter_writes_a_field(trade):
    ItemAdapter(trade)["note"] = "late"
    assert trade.note == "late"


def test_the_adapter_adds_no_field(trade):
    with pytest.raises(KeyError, match="Trade does not support field: nothing"):
        ItemAdapter(trade)["nothing"] = 1


def test_the_adapter_removes_no_field(trade):
    with pytest.raises(KeyError, match="note"):
        del ItemAdapter(trade)["note"]
    assert trade.note is None


def test_the_adapter_goes_through_the_columns_in_order(trade):
    names = [c.name for c in columns(Trade)]
    adapter = ItemAdapter(trade)
    assert list(adapter) == list(adapter.field_names()) == names
    assert len(adapter) == len(names)
    assert list(ItemAdapter.get_field_names_from_class(Trade)) == names


def test_the_adapter_makes_a_dict(trade):
    assert ItemAdapter(trade).asdict() == {
        "market": "btc-usd",
        "number": 7,
        "trade_id": "a",
        "price": Decimal("1.50"),
        "fee": None,
        "note": None,
        "placed": None,
        "seen": "2025-03-04T10:00:00Z",
        "extra": NO_EXTRA,
    }
