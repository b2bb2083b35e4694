"""What a crawl has counted, by the names of the columns of the table ``crawl``."""

from scrapy.settings import BaseSettings
from scrapy.statscollectors import StatsCollector

from coinspider.crawl.spider_base import PAGE_STAT, RECORD_STAT
from coinspider.errors import ConfigurationError

REJECTED_STAT = "coercion/rejected_count"
REASONS_STAT = "coercion/first_reasons"
# The stats whose sum each figure is.
FIGURES = {
    "page_count": (PAGE_STAT,),
    "record_count": (RECORD_STAT,),
    "inserted_count": ("postgres/inserted_count",),
    "updated_count": ("postgres/updated_count",),
    "unchanged_count": ("postgres/unchanged_count",),
    # By coercion, and by PostgreSQL itself.
    "rejected_count": (REJECTED_STAT, "postgres/refused_count"),
    "delisted_count": ("postgres/delisted_count",),
    "refused_count": ("ratelimit/refused_count",),
    "wait_seconds": ("ratelimit/wait_seconds",),
    "response_bytes": ("downloader/response_bytes",),
}


def figures(stats: StatsCollector) -> dict[str, int | float]:
    return {
        name: sum(stats.get_value(stat, 0) for stat in summands)
        for name, summands in FIGURES.items()
    }


def share_from_settings(settings: BaseSettings, name: str) -> float:
    """A setting that is a share, from 0 to 1; else :exc:`ConfigurationError`."""
    share = settings.getfloat(name)
    if not 0 <= share <= 1:
        raise ConfigurationError(f"{name} must be a share from 0 to 1")
    return share
