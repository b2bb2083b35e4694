"""An incremental source, as a user would write it."""

from coinspider.items import FullCoin
from coinspider.paginated_spider import PaginatedSpider
from coinspider.pagination import Offset


class UpdatesSpider(PaginatedSpider):
    name = "updates"
    url = "https://api.example/updates"
    item_class = FullCoin
    constants = {"vs_currency": "usd"}  # noqa: RUF012
    pagination = Offset(limit=100)
    records = "results"
    since_parameter = "updated_since"
    since_column = "last_updated"
