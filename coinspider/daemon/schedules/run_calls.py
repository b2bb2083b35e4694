"""How many calls a run of a schedule takes."""

from collections.abc import Mapping

from psycopg.types.json import Jsonb
from scrapy.settings import BaseSettings

from coinspider.crawl.arguments import parse_arguments
from coinspider.daemon.database import query
from coinspider.daemon.schedules.page_weights import USUAL_COINS
from coinspider.sources.coingecko import api_from_settings
from coinspider.spiders.coins import CoinsArguments, CoinsSpider
from coinspider.store.earlier_crawls import EARLIER, values

_LIST = """
SELECT url FROM crawl WHERE spider = %s AND arguments = %s AND outcome = 'complete'
ORDER BY id DESC LIMIT 1
"""


def read_usual_calls(settings: BaseSettings, arguments: Mapping[str, str]) -> int | None:
    """What the last complete crawls of coins took; ``None`` if there was none. For threads.

    Raises :exc:`ConfigurationError` for settings that contradict each other.
    """
    url = parse_arguments(CoinsArguments, dict(arguments)).url(api_from_settings(settings).base_url)
    rows = query(EARLIER, values(CoinsSpider.name, url, arguments))
    return rows[0]["calls"] if rows else None


def read_list_calls(spider: str, arguments: Mapping[str, str]) -> tuple[str, int] | None:
    """The URL and the usual calls of any spider's list; ``None`` before a complete crawl.

    For threads.
    """
    found = query(_LIST, [spider, Jsonb(dict(arguments))])
    if not found:
        return None
    url = found[0]["url"]
    return url, query(EARLIER, values(spider, url, arguments))[0]["calls"]


def assumed_calls(arguments: Mapping[str, str]) -> int | None:
    """The calls of coins before the first crawl; ``None`` for a category, whose size is unknown.

    It assumes that there are ``USUAL_COINS``.
    """
    asked = parse_arguments(CoinsArguments, dict(arguments))
    if asked.category:
        return None
    coins = len(asked.ids.split(",")) if asked.ids else USUAL_COINS
    pages = -(-coins // asked.per_page)
    if asked.ids:
        return pages
    return min(asked.pages, pages) if asked.pages else pages + 1
