"""The items: each field once, with its type, its JSON key and its part in the primary key.

Coercion, table, upsert and feeds are derived from these classes.
"""

from typing import ClassVar

from msgspec import UNSET, Raw, field

from coinspider.records.table_item import (
    NULL,
    Amount,
    Integer,
    Key,
    NoColumn,
    TableItem,
    Time,
    TrackedAmount,
    Version,
)


class FullCoin(TableItem, kw_only=True):
    """A coin's market data in one currency, from CoinGecko's ``/coins/markets``."""

    table: ClassVar[str] = "full_coin"
    history_table: ClassVar[str | None] = "coin_history"
    candle_table: ClassVar[str | None] = "coin_candle"
    candle_price: ClassVar[str | None] = "current_price"
    noun: ClassVar[str] = "coin"
    shown: ClassVar[tuple[str, ...]] = (
        "market_cap_rank",
        "name",
        "symbol",
        "current_price",
        "price_change_percentage_1h_in_currency",
        "price_change_percentage_24h",
        "price_change_percentage_7d_in_currency",
        "market_cap",
        "total_volume",
    )
    searched: ClassVar[tuple[str, ...]] = ("symbol", "name")

    coin_id: Key = field(name="id")
    vs_currency: Key = ""
    symbol: str
    name: str
    image: str | None = None
    current_price: TrackedAmount | None = None
    market_cap: TrackedAmount | None = None
    market_cap_rank: Integer | None = None
    fully_diluted_valuation: Amount | None = None
    total_volume: TrackedAmount | None = None
    high_24h: Amount | None = None
    low_24h: Amount | None = None
    price_change_24h: Amount | None = None
    price_change_percentage_24h: Amount | None = None
    market_cap_change_24h: Amount | None = None
    market_cap_change_percentage_24h: Amount | None = None
    circulating_supply: Amount | None = None
    total_supply: Amount | None = None
    max_supply: Amount | None = None
    ath: Amount | None = None
    ath_change_percentage: Amount | None = None
    ath_date: Time | None = None
    atl: Amount | None = None
    atl_change_percentage: Amount | None = None
    atl_date: Time | None = None
    roi: NoColumn = UNSET
    # By the parameters include_rehypothecated and price_change_percentage.
    market_cap_rank_with_rehypothecated: Integer | None = None
    price_change_percentage_1h_in_currency: Amount | None = None
    price_change_percentage_24h_in_currency: Amount | None = None
    price_change_percentage_7d_in_currency: Amount | None = None
    price_change_percentage_14d_in_currency: Amount | None = None
    price_change_percentage_30d_in_currency: Amount | None = None
    price_change_percentage_200d_in_currency: Amount | None = None
    price_change_percentage_1y_in_currency: Amount | None = None
    last_updated: Version | None = None


class Exchange(TableItem, kw_only=True):
    """An exchange, from CoinGecko's ``/exchanges``."""

    table: ClassVar[str] = "exchange"
    noun: ClassVar[str] = "exchange"

    exchange_id: Key = field(name="id")
    name: str
    trust_score_rank: Integer | None = None
    trust_score: Amount | None = None
    trade_volume_24h_btc: Amount | None = None
    year_established: Integer | None = None
    country: str | None = None
    description: str | None = None
    url: str | None = None
    image: str | None = None
    has_trading_incentive: bool | None = None


class Category(TableItem, kw_only=True):
    """A category of coins, from CoinGecko's ``/coins/categories``."""

    table: ClassVar[str] = "coin_category"
    noun: ClassVar[str] = "category"

    category_id: Key = field(name="id")
    name: str
    market_cap: Amount | None = None
    market_cap_change_24h: Amount | None = None
    volume_24h: Amount | None = None
    content: str | None = None
    top_3_coins_id: Raw = NULL
    top_3_coins: Raw = NULL
    updated_at: Version | None = None


class NftCollection(TableItem, kw_only=True):
    """A collection of NFTs, from CoinGecko's ``/nfts/list``."""

    table: ClassVar[str] = "nft_collection"
    noun: ClassVar[str] = "collection"

    collection_id: Key = field(name="id")
    name: str
    symbol: str | None = None
    asset_platform_id: str | None = None
    contract_address: str | None = None


class Asset(TableItem, kw_only=True, rename="camel"):
    """A coin from CoinCap's ``/v2/assets``; its numbers come as strings."""

    table: ClassVar[str] = "asset"
    noun: ClassVar[str] = "asset"

    asset_id: Key = field(name="id")
    rank: Integer | None = None
    symbol: str
    name: str
    supply: Amount | None = None
    max_supply: Amount | None = None
    market_cap_usd: Amount | None = None
    volume_usd_24hr: Amount | None = field(default=None, name="volumeUsd24Hr")
    price_usd: Amount | None = None
    change_percent_24hr: Amount | None = field(default=None, name="changePercent24Hr")
    vwap_24hr: Amount | None = field(default=None, name="vwap24Hr")
    explorer: str | None = None
