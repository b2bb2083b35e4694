"""CoinCap's assets: a source in one file."""

from coinspider.crawl.spider import PaginatedSpider
from coinspider.http.pagination import Offset
from coinspider.items import Asset


class AssetsSpider(PaginatedSpider):
    """Reads ``/v2/assets`` up to the empty page.

    https://docs.coincap.io/ (version 2)
    """

    name = "assets"
    url = "https://api.coincap.io/v2/assets"
    item_class = Asset
    pagination = Offset(limit=2000)
    records = "data"
