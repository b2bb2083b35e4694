"""A crawl's message in parts, as pages show it, and what to do about it."""

import re

BAD = ("failed", "died", "exhausted", "misconfigured")
"""The outcomes that need action."""

# 68 pages, 17000 records, 3 new, ..., 0 rejected: as crawl/exit_status.py writes them
_FIGURES = re.compile(r"\d+ pages?, \d+ records?(?:, \d+ [a-z]+)*")
_OUTCOME = re.compile(r"^the crawl (?:is complete|failed|was interrupted)\b:? ?")
_COUNT = re.compile(
    r"(?<![\w.:=/-])\d{4,}(?= (?:pages?|records?|coins?|calls?|rows?|bytes|items?|known|new|changed"
    r"|unchanged|older|repeated|rejected|dropped|delisted)\b)"
)


def told(message: str | None) -> str:
    """What it says besides outcome and figures: the reason of a failure, remarks."""
    text = _FIGURES.sub("", _OUTCOME.sub("", message or "")).replace(" ()", "").strip("; ")
    return "" if text == "()" else grouped(text)


def told_figures(message: str | None) -> str:
    """``68 pages, 17,000 records, 3 new``; empty if the message has none."""
    found = _FIGURES.search(message or "")
    return grouped(found[0]) if found and not found[0].startswith("0 pages") else ""


def grouped(text: str) -> str:
    """Counts with separators: ``17,000 records``."""
    return _COUNT.sub(lambda count: f"{int(count[0]):,}", text)


_AWAY = "The API could not be reached, or has a fault of its own: the next run tries again."
_URL = re.compile(r"\bhttps?://\S+")
# Of a page of the API that did not come.
_OF_PAGES = [
    (
        r"\b40[13]\b|api key|COINGECKO_(API_KEY|PLAN)|unauthori[sz]ed|forbidden",
        "Check COINGECKO_API_KEY and COINGECKO_PLAN in .env.",
    ),
    (
        r"\b429\b|refused the call|rate limit|RATELIMIT_\w+",
        "The API's limit is used up: lower COINGECKO_RATE_LIMIT, or let the schedule run less"
        " often.",
    ),
    (r"certificate", "If the server is yours, name its authority in DOWNLOAD_CA_FILE."),
    (r"DOWNLOAD_\w+", "If the API is this slow, or its pages are this large, raise {}."),
    (
        r"\b40[04]\b|\b410\b|\b422\b",
        "The API does not have what is asked for: check the arguments of the crawl.",
    ),
    (r"", _AWAY),
]
_REMEDIES = [
    (r"no space|disk full|could not extend", "Make room on the disk of PostgreSQL."),
    (
        r"DELISTED_SHARE_MAX|DELISTING_CHECK_CALLS_MAX",
        "If this many coins are really gone, raise {} for one crawl.",
    ),
    (
        r"rejected",
        "The API sends records that are not as expected: the rejected records say what is wrong.",
    ),
    (
        r"database|postgres|connection to server|the crawl's row",
        "Is PostgreSQL running, and is DATABASE_URL right? The next run stores everything again.",
    ),
    (r"\btable\b|\bcolumn\b", "Change the table as the message says; the next run uses it."),
    (
        r"calls? are left|no calls|credits|used up",
        "Wait until the month's calls are renewed, let the schedule run less often, or take a"
        " larger plan.",
    ),
    (
        r"signal \d+ ended its process",
        "Something killed its process, perhaps for lack of memory: see the log of the machine.",
    ),
    (
        r"its process ended",
        "The machine was restarted, or the process was killed: see the end of its log.",
    ),
    (r"told to stop", "The next run does its work."),
    (r"running already", "The run before takes longer than the time between two runs."),
    (r"took over", "The process or its database stood still for a while: the other crawl went on."),
    (r"the feed", "Check the address of the feed, and whether it may be written to."),
    (r"PAGINATION_HOSTS_ALLOWED", "If you trust the host, name it in {}."),
    (r"PAGINATION_PAGES_MAX", "If the list is this long, raise {}."),
    (r"-a key=", "Run it again with that argument."),
    (
        r"list (may go on|is incomplete)|did not reach the last page|leads back|lost on their way"
        r"|only when requested by key",
        "The API left something out: the next run tries again.",
    ),
    (r"COINGECKO_(API_KEY|PLAN)", "Check COINGECKO_API_KEY and COINGECKO_PLAN in .env."),
]


def remedy(message: str | None) -> str:
    """One sentence; refers to the log if nothing better is known."""
    reason = _URL.sub("", told(message))
    for pattern, advice in _OF_PAGES if reason.startswith("page ") else _REMEDIES:
        if reason and (found := re.search(pattern, reason, re.IGNORECASE)):
            return advice.format(found[0])
    return "Its log says more."
