"""What CoinGecko's own client, made from the description of its API, says of it."""

from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from coingecko_sdk.types.coins.category_get_response import CategoryGetResponseItem
from coingecko_sdk.types.coins.market_get_params import MarketGetParams
from coingecko_sdk.types.coins.market_get_response import MarketGetResponseItem
from coingecko_sdk.types.exchange_get_response import ExchangeGetResponseItem
from coingecko_sdk.types.nft_get_list_response import NFTGetListResponseItem

from coinspider.errors import ConfigurationError
from coinspider.items import Category, Exchange, FullCoin, NftCollection
from coinspider.records.table_item import columns, fields_without_column
from coinspider.setting_kinds import parse_arguments
from coinspider.spiders.coins import CoinsArguments

PARAMETERS = get_type_hints(MarketGetParams)
OURS = {field.name for field in msgspec.structs.fields(CoinsArguments)}


def test_each_parameter_is_an_argument():
    # The crawl itself counts the pages.
    assert PARAMETERS.keys() - {"page"} == OURS - {"first_page", "pages"}


VALUES = {name: get_args(hint) for name, hint in PARAMETERS.items() if get_args(hint)}


@pytest.mark.parametrize("name", VALUES)
def test_an_argument_takes_the_values_of_its_parameter_and_no_others(name):
    for value in VALUES[name]:
        assert getattr(parse_arguments(CoinsArguments, {name: value}), name) == value
    with pytest.raises(ConfigurationError) as caught:
        parse_arguments(CoinsArguments, {name: "nothing like it"})
    listed = str(caught.value).split(" one of ")[1].split(", ")
    assert sorted(listed) == sorted(VALUES[name])


@pytest.mark.parametrize(
    ("item_class", "told", "elsewhere"),
    [
        # Sparklines become candles.
        (FullCoin, MarketGetResponseItem, {"sparkline_in_7d"}),
        (Exchange, ExchangeGetResponseItem, set()),
        (Category, CategoryGetResponseItem, set()),
        (NftCollection, NFTGetListResponseItem, set()),
    ],
)
def test_each_field_has_a_column_or_is_known_to_have_none(item_class, told, elsewhere):
    keys = {column.json_key for column in columns(item_class)} - {"vs_currency", "extra"}
    known: dict[str, Any] = fields_without_column(item_class)
    assert keys | set(known.values()) == told.model_fields.keys() - elsewhere
