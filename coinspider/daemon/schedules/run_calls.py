"""How many calls a run of a schedule of ``coins`` takes."""

from collections.abc import Mapping

from scrapy.settings import BaseSettings

from coinspider.crawl.arguments import parse_arguments
from coinspider.daemon.database import query
from coinspider.daemon.schedules.page_weights import USUAL_COINS
from coinspider.sources.coingecko import api_from_settings
from coinspider.spiders.coins import CoinsArguments, CoinsSpider
from coinspider.store.earlier_crawls import EARLIER, values


def read_usual_calls(settings: BaseSettings, arguments: Mapping[str, str]) -> int | None:
    """What the last complete crawls took; ``None`` if there was none. For threads.

    Raises :exc:`ConfigurationError` for settings that contradict each other.
    """
    url = parse_arguments(CoinsArguments, dict(arguments)).url(api_from_settings(settings).base_url)
    rows = query(EARLIER, values(CoinsSpider.name, url, arguments))
    return rows[0]["calls"] if rows else None


def assumed_calls(arguments: Mapping[str, str]) -> int | None:
    """The calls before the first crawl, if there are ``USUAL_COINS``; ``None`` if that says
    nothing.
    """
    asked = parse_arguments(CoinsArguments, dict(arguments))
    if asked.category:
        return None
    coins = len(asked.ids.split(",")) if asked.ids else USUAL_COINS
    pages = -(-coins // asked.per_page)
    if asked.ids:
        return pages
    return min(asked.pages, pages) if asked.pages else pages + 1
