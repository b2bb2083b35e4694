"""An incremental source, as a user would write it."""

from coinspider.crawl.spider import PaginatedSpider
from coinspider.http.pagination import Offset
from coinspider.items import FullCoin


class UpdatesSpider(PaginatedSpider):
    name = "updates"
    url = "https://api.example/updates"
    item_class = FullCoin
    constants = {"vs_currency": "usd"}  # noqa: RUF012
    pagination = Offset(limit=100)
    records = "results"
    since_parameter = "updated_since"
    since_column = "last_updated"
