"""The columns of the coins for people: names, kinds and groups."""

from collections.abc import Sequence
from typing import NamedTuple

from coinspider.items import FullCoin
from coinspider.records.table_item import columns, stored_columns

NUMBER, PRICE, AMOUNT, CHANGE, TIME, TEXT = "number", "price", "amount", "change", "time", "text"
SPARKLINE, OTHER = "sparkline", "other"
PHONE, TABLET, DESK = "phone", "wide", "desk"  # classes of the style sheet


class CoinColumn(NamedTuple):
    """``kind`` is how a value is shown; ``width`` is the least page width that shows it by default.

    A ``made`` column is not in the table.
    """

    name: str
    label: str
    kind: str
    width: str = DESK
    made: bool = False
    long: str = ""

    @property
    def title(self) -> str:
        """The label outside a table."""
        return self.long or self.label

    @property
    def is_number(self) -> bool:
        return self.kind in (NUMBER, PRICE, AMOUNT, CHANGE)

    @property
    def is_right(self) -> bool:
        """Whether its values are aligned to the right."""
        return self.is_number or self.kind in (SPARKLINE, TIME)


_SPANS = ("1h", "7d", "14d", "30d", "200d", "1y")
CHANGE_7D = "price_change_percentage_7d_in_currency"
LAST_7_DAYS = "last_7_days"
_ALL = [
    CoinColumn("market_cap_rank", "#", NUMBER, long="Rank", width=TABLET),
    CoinColumn("name", "Coin", TEXT, width=PHONE),
    CoinColumn("current_price", "Price", PRICE, width=PHONE),
    CoinColumn("price_change_percentage_1h_in_currency", "1h", CHANGE, long="Change 1h"),
    CoinColumn("price_change_percentage_24h", "24h", CHANGE, width=PHONE, long="Change 24h"),
    CoinColumn(CHANGE_7D, "7d", CHANGE, long="Change 7d", width=TABLET),
    CoinColumn("market_cap", "Market cap", AMOUNT, width=TABLET),
    CoinColumn("total_volume", "24h volume", AMOUNT),
    CoinColumn(LAST_7_DAYS, "Last 7 days", SPARKLINE, made=True, width=TABLET),
    CoinColumn("last_updated", "Updated", TIME),
    CoinColumn("symbol", "Symbol", TEXT),
    CoinColumn("coin_id", "Id", TEXT),
    CoinColumn("vs_currency", "Currency", TEXT),
    CoinColumn("price_change_percentage_14d_in_currency", "14d", CHANGE, long="Change 14d"),
    CoinColumn("price_change_percentage_30d_in_currency", "30d", CHANGE, long="Change 30d"),
    CoinColumn("price_change_percentage_200d_in_currency", "200d", CHANGE, long="Change 200d"),
    CoinColumn("price_change_percentage_1y_in_currency", "1y", CHANGE, long="Change 1y"),
    CoinColumn(
        "price_change_percentage_24h_in_currency",
        "24h in currency",
        CHANGE,
        long="Change 24h in this currency",
    ),
    CoinColumn(
        "market_cap_rank_with_rehypothecated",
        "# with rehypothecated",
        NUMBER,
        long="Rank with rehypothecated coins",
    ),
    CoinColumn("fully_diluted_valuation", "Fully diluted valuation", AMOUNT),
    CoinColumn("price_change_24h", "Price change 24h", PRICE),
    CoinColumn("high_24h", "High 24h", PRICE),
    CoinColumn("low_24h", "Low 24h", PRICE),
    CoinColumn("market_cap_change_24h", "Market cap change 24h", AMOUNT),
    CoinColumn(
        "market_cap_change_percentage_24h",
        "Market cap 24h",
        CHANGE,
        long="Market cap change 24h, %",
    ),
    CoinColumn("circulating_supply", "Circulating supply", AMOUNT),
    CoinColumn("total_supply", "Total supply", AMOUNT),
    CoinColumn("max_supply", "Max supply", AMOUNT),
    CoinColumn("ath", "All-time high", PRICE),
    CoinColumn("ath_change_percentage", "Since all-time high", CHANGE),
    CoinColumn("ath_date", "All-time high on", TIME),
    CoinColumn("atl", "All-time low", PRICE),
    CoinColumn("atl_change_percentage", "Since all-time low", CHANGE),
    CoinColumn("atl_date", "All-time low on", TIME),
    CoinColumn("first_crawled_at", "First crawled", TIME),
    CoinColumn("delisted_at", "Delisted", TIME, width=TABLET),
    CoinColumn("image", "Logo", TEXT),
    CoinColumn("extra", "Other fields", OTHER),
]
_KNOWN = {column.name for column in _ALL}
# A field of the item that has no name here.
_ALL += [
    CoinColumn(c.name, c.name.replace("_", " ").capitalize(), AMOUNT if c.type.is_number else TEXT)
    for c in columns(FullCoin)
    if c.name not in _KNOWN
]
COLUMNS = {column.name: column for column in _ALL}
STORED = stored_columns(FullCoin)
SHOWN = [column.name for column in _ALL[: list(COLUMNS).index("symbol")]]
GROUPS = {
    "Market": [
        "market_cap_rank",
        "market_cap_rank_with_rehypothecated",
        "market_cap",
        "fully_diluted_valuation",
        "total_volume",
        "market_cap_change_24h",
        "market_cap_change_percentage_24h",
    ],
    "Price": [
        *(f"price_change_percentage_{span}_in_currency" for span in _SPANS),
        "price_change_24h",
        "price_change_percentage_24h",
        "low_24h",
        "high_24h",
        "ath",
        "ath_change_percentage",
        "ath_date",
        "atl",
        "atl_change_percentage",
        "atl_date",
    ],
    "Supply": ["circulating_supply", "total_supply", "max_supply"],
    "About": [
        "coin_id",
        "symbol",
        "vs_currency",
        "image",
        "last_updated",
        "first_crawled_at",
        "delisted_at",
        "extra",
    ],
}
_GROUPED = {name for names in GROUPS.values() for name in names} | {"name", "current_price"}
GROUPS["About"] += [c.name for c in _ALL if not c.made and c.name not in _GROUPED]

# What /coin says of a field without a value.
WITHOUT = {"max_supply": "no maximum known", "delisted_at": "no"}


def stored(names: Sequence[str]) -> list[str]:
    """Those of them that are columns of the table."""
    return [name for name in names if not COLUMNS[name].made]
