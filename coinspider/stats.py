"""The names of the stats, and which of them make up the columns of the table ``crawl``."""

from scrapy.statscollectors import StatsCollector

from coinspider.http.ratelimit import REFUSED_STAT, WAIT_STAT, WAITING_UNTIL_STAT

PAGE_STAT = "pagination/page_count"
EMPTY_STAT = "pagination/empty_page_count"
FOUND_STAT = "pagination/found_count"
LOOKUP_STAT = "pagination/lookup_count"
REREAD_STAT = "pagination/reread_count"
RECORD_STAT = "pagination/record_count"
REJECTED_STAT = "coercion/rejected_count"
SET_ASIDE_STAT = "coercion/set_aside_count"
DROPPED_STAT = "pipelines/dropped_count"
ITEM_STAT = "postgres/item_count"
INSERTED_STAT = "postgres/inserted_count"
UPDATED_STAT = "postgres/updated_count"
UNCHANGED_STAT = "postgres/unchanged_count"
OLDER_STAT = "postgres/older_count"
REPEATED_STAT = "postgres/repeated_count"
FUTURE_STAT = "postgres/future_count"
REJECTED_ROW_STAT = "postgres/rejected_count"
LOST_STAT = "postgres/lost_count"
RELISTED_STAT = "postgres/relisted_count"
DELISTED_STAT = "postgres/delisted_count"

END_STAT = "pagination/end_reached"
KNOWN_STAT = "pagination/known_page_count"
EXPECTED_STAT = "pagination/expected_page_count"
SINCE_STAT = "pagination/since"
FAILURE_STAT = "crawl/failure"
EXHAUSTED_STAT = "crawl/exhausted"
SKIPPED_STAT = "crawl/skipped"
REASONS_STAT = "coercion/first_reasons"

# Columns of the table crawl, each with the stats it is the sum of.
FIGURES = {
    "page_count": (PAGE_STAT,),
    "expected_page_count": (EXPECTED_STAT,),
    "record_count": (RECORD_STAT,),
    "inserted_count": (INSERTED_STAT,),
    "updated_count": (UPDATED_STAT,),
    "unchanged_count": (UNCHANGED_STAT,),
    "older_count": (OLDER_STAT,),
    "repeated_count": (REPEATED_STAT,),
    "future_count": (FUTURE_STAT,),
    # By coercion, and by PostgreSQL itself.
    "rejected_count": (REJECTED_STAT, REJECTED_ROW_STAT),
    "dropped_count": (DROPPED_STAT,),
    "set_aside_count": (SET_ASIDE_STAT,),
    "delisted_count": (DELISTED_STAT,),
    "call_count": ("downloader/request_count",),
    "refused_count": (REFUSED_STAT,),
    "wait_seconds": (WAIT_STAT,),
    "waiting_until": (WAITING_UNTIL_STAT,),
    "response_bytes": ("downloader/response_bytes",),
}


def figures(stats: StatsCollector) -> dict[str, int | float]:
    """The counts so far, by column of the table ``crawl``."""
    return {
        name: sum(stats.get_value(stat, 0) for stat in summands)
        for name, summands in FIGURES.items()
    }
