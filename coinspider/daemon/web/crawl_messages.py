"""The message of a crawl, apart from what its page shows beside it: the outcome, and the figures."""

import re

# 68 pages, 17000 records, 3 new, ..., 0 rejected: as crawl/exit_status.py writes them
_FIGURES = re.compile(r"\d+ pages?, \d+ records?(?:, \d+ [a-z]+)*")
_OUTCOME = re.compile(r"^the crawl (?:is complete|failed|was interrupted)\b:? ?")
_COUNT = re.compile(r"(?<![\w.:=/-])\d{4,}(?= [a-z])")


def told(message: str | None) -> str:
    """What it says besides outcome and figures: the reason of a failure, remarks."""
    text = _FIGURES.sub("", _OUTCOME.sub("", message or "")).replace(" ()", "").strip("; ")
    return "" if text == "()" else grouped(text)


def told_figures(message: str | None) -> str:
    """``68 pages, 17,000 records, 3 new``; empty if the message has none."""
    found = _FIGURES.search(message or "")
    return grouped(found[0]) if found else ""


def grouped(text: str) -> str:
    """Counts with separators: ``17,000 records``."""
    return _COUNT.sub(lambda count: f"{int(count[0]):,}", text)
