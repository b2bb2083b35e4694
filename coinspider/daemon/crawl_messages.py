"""A crawl's message, without the outcome and with the figures apart, as pages show them."""

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
