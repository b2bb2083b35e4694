"""CoinGecko's exchanges."""

from coinspider.http.pagination import PageNumber
from coinspider.items import Exchange
from coinspider.spiders.coins import CoinGeckoSpider


class ExchangesSpider(CoinGeckoSpider):
    """https://docs.coingecko.com/reference/exchanges"""

    name = "exchanges"
    path = "exchanges"
    item_class = Exchange
    pagination = PageNumber(limit=250)
