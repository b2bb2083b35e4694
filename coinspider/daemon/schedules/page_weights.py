"""How much each page of the ranking matters, by the coins in the database."""

from coinspider.daemon.database import query
from coinspider.daemon.schedules.freshness import PAGE_SIZE, stale_share, volume_by_rank

USUAL_COINS = 17_500
# Reported volumes are not all true; no page is without any weight.
_SPREAD_EVENLY = 0.01
# Seconds between two reads of most pages, with the fewest calls that a plan has.
_OFTEN = 6 * 3600.0
# How long a coin had not changed when a whole pass came to it is how often it changes; by powers
# of 2, for few rows.
_VOLUMES = f"""
WITH whole AS (
    SELECT max(started_at) AS at FROM crawl
    WHERE spider = 'coins' AND vs_currency = %(currency)s AND outcome = 'complete' AND whole
)
SELECT page, 2 ^ power AS changes_every, coalesce(sum(total_volume), 0)::float8 AS volume FROM (
    SELECT total_volume,
           (row_number() OVER (ORDER BY market_cap DESC NULLS LAST, coin_id) - 1) / {PAGE_SIZE}
               AS page,
           round(log(2, greatest(60, extract(epoch FROM at - last_updated)::numeric)))::float8
               AS power
    FROM full_coin, whole WHERE vs_currency = %(currency)s AND delisted_at IS NULL
) AS ranked GROUP BY page, power ORDER BY page
"""  # noqa: S608


def read_weights(vs_currency: str) -> list[float]:
    """The weight of each page of the ranking, all together 1; a guess before the first crawl.

    It is the trading volume of its coins, each as far as it changes between two reads of a page.
    """
    volumes: dict[int, float] = {}
    for row in query(_VOLUMES, {"currency": vs_currency}):
        counts = row["volume"] * stale_share(_OFTEN, row["changes_every"])
        volumes[row["page"]] = volumes.get(row["page"], 0.0) + counts
    whole = sum(volumes.values())
    if not whole:
        return volume_by_rank(len(volumes) * PAGE_SIZE or USUAL_COINS)
    even = _SPREAD_EVENLY / len(volumes)
    return [(1 - _SPREAD_EVENLY) * volume / whole + even for volume in volumes.values()]
