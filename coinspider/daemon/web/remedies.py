"""What to do about a failed crawl, according to its message."""

import re

_REMEDIES = [
    (r"api key|\bkey\b.*(host|plan)|401|unauthori[sz]ed",
     "Check COINGECKO_API_KEY and COINGECKO_PLAN in .env."),
    (r"can't be reached|connection refused|database|postgres",
     "Is PostgreSQL running, and is DATABASE_URL right? The next crawl stores all again."),
    (r"disk|no space", "Make room on the disk of PostgreSQL."),
    (r"refused|429|rate limit|budget",
     "The API's limit is used up: lower COINGECKO_RATE_LIMIT, or let the schedule run less often."),
    (r"rejected",
     "The API sends records that are not as expected: the rejected records say what is wrong."),
    (r"missing.*DELISTED_SHARE_MAX|coins are missing",
     "Nothing was marked as delisted. If it is true, raise DELISTED_SHARE_MAX for one crawl."),
    (r"its process ended",
     "The machine was restarted, or the process killed: see the end of its log."),
    (r"running already", "The one before takes longer than the time between two runs."),
    (r"timed? ?out|dns|network|unreachable|reset|5\d\d",
     "The API could not be reached: the next run tries again."),
]  # fmt: skip
# At the end of a message, as (2 pages, 500 records, 0 rejected): they are not the reason.
_FIGURES = r"\s*\([^()]*\)$"


def remedy(message: str | None) -> str:
    """One sentence; refers to the log if nothing better is known."""
    reason = re.sub(_FIGURES, "", message or "")
    for pattern, advice in _REMEDIES:
        if re.search(pattern, reason, re.IGNORECASE):
            return advice
    return "Its log says more."
