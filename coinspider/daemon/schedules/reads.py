"""When the pages were last read, by the rows of the table ``crawl``."""

from datetime import datetime

from coinspider.daemon.database import query
from coinspider.daemon.schedules.budget import Reads

_READS = """
SELECT coalesce((arguments->>'first_page')::int, 1) AS first_page,
       (arguments->>'pages')::int AS pages, max(started_at) AS at
FROM crawl
WHERE spider = 'coins' AND vs_currency = %s AND outcome = 'complete'
    AND NOT arguments ?| ARRAY['ids', 'category', 'per_page', 'order']
    AND started_at > now() - interval '40 days'
GROUP BY 1, 2
"""
# For all crawls: those by hand and on other nodes spend the same calls. Retries cost calls, too; a
# crawl of 0.1 counted none.
_LAST = """
SELECT started_at, greatest(page_count, call_count) AS calls FROM crawl
WHERE spider = 'coins' AND vs_currency = %s AND outcome <> 'skipped' AND whole IS NOT true
ORDER BY id DESC LIMIT 1
"""
_FAILED = """
SELECT started_at AS failed_at, greatest(page_count, call_count) AS failed_calls FROM (
    SELECT * FROM crawl WHERE spider = 'coins' AND vs_currency = %s AND whole
        AND ended_at IS NOT NULL AND outcome <> 'skipped' ORDER BY id DESC LIMIT 1
) AS newest WHERE outcome NOT IN ('complete', 'interrupted')
"""
_NEWEST = "SELECT max(started_at) AS at FROM crawl WHERE spider = 'coins' AND vs_currency = %s"


def read_reads(vs_currency: str, last_at: datetime | None) -> Reads:
    """When the pages were last read, by any crawl; the schedule itself last ran at ``last_at``."""
    whole_at: datetime | None = None
    page_at: dict[int, datetime] = {}
    for row in query(_READS, [vs_currency]):
        if row["pages"] is None and row["first_page"] == 1:
            whole_at = row["at"]
        else:
            last = row["first_page"] + (row["pages"] or 0)
            for page in range(row["first_page"], last):
                page_at[page] = max(row["at"], page_at.get(page, row["at"]))
    reads = Reads(whole_at, page_at, last_at, 1)
    for row in query(_LAST, [vs_currency]):
        begun = max(row["started_at"], last_at or row["started_at"])
        reads = reads._replace(last_at=begun, last_calls=max(1, row["calls"]))
    for row in query(_FAILED, [vs_currency]):
        reads = reads._replace(**row)
    newest = next((row["at"] for row in query(_NEWEST, [vs_currency])), None)
    if last_at and (newest is None or newest < last_at):  # the job did not begin to crawl
        reads = reads._replace(failed_at=last_at, failed_calls=0)
    return reads
