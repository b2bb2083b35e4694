"""CoinGecko's short lists: its categories of coins, its exchanges and its NFT collections."""

from coinspider.http.pagination import PageNumber, SinglePage
from coinspider.items import Category, Exchange, NftCollection
from coinspider.spiders.coins import CoinGeckoSpider


class CategoriesSpider(CoinGeckoSpider):
    """https://docs.coingecko.com/reference/coins-categories"""

    name = "categories"
    path = "coins/categories"
    item_class = Category
    pagination = SinglePage()


class ExchangesSpider(CoinGeckoSpider):
    """https://docs.coingecko.com/reference/exchanges"""

    name = "exchanges"
    path = "exchanges"
    item_class = Exchange
    pagination = PageNumber(limit=250)


class NftsSpider(CoinGeckoSpider):
    """https://docs.coingecko.com/reference/nfts-list"""

    name = "nfts"
    path = "nfts/list"
    item_class = NftCollection
    pagination = PageNumber(limit=250)
