"""CoinGecko's categories of coins."""

from coinspider.http.pagination import SinglePage
from coinspider.items import Category
from coinspider.spiders.coins import CoinGeckoSpider


class CategoriesSpider(CoinGeckoSpider):
    """https://docs.coingecko.com/reference/coins-categories"""

    name = "categories"
    path = "coins/categories"
    item_class = Category
    pagination = SinglePage()
