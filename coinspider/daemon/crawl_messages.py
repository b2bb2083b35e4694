"""A row of the table ``crawl`` in parts, as pages and alerts show it, and what to do about it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from coinspider.crawl.outcome import SUM, sum_in_words
from coinspider.crawl.reasons import KINDS, remarks_of, stored_reason
from coinspider.text import counted

Row = Mapping[str, Any]
BAD = ("failed", "died", "exhausted", "misconfigured")
"""The outcomes that need action."""


def told(row: Row) -> str:
    """What it says besides outcome and figures: the reason of a failure, remarks.

    A row of 0.2 has no reason, and a running crawl none yet: their message is shown as it is.
    """
    figures = _figures(row)
    reason = stored_reason(row.get("reason"), figures)
    if figures is None or (row.get("reason") and not reason):
        return row.get("message") or ""
    words = [reason.for_people()] if reason and row["reason"] != "interrupted" else []
    return "; ".join([*words, *remarks_of(figures)])


def told_figures(row: Row) -> str:
    """``68 pages, 17,000 records, 3 new``; empty if it read no page."""
    if not row.get("pages"):
        return ""
    shown = {column: row.get(word) or 0 for word, column in SUM.items()}
    records = f"{row['records']:,} record{'' if row['records'] == 1 else 's'}"
    return ", ".join([counted(row["pages"], "page"), records, sum_in_words(shown, ",")])


def remedy(row: Row) -> str:
    """One sentence; refers to the log if nothing better is known."""
    reason = stored_reason(row.get("reason"), _figures(row))
    return reason.remedy if reason else "Its log says more."


def remedy_before_start(exit_status: int | None) -> str:
    """The same for a job that ended before it had a row; a signal gives no exit status."""
    code = {None: "killed", 2: "misconfigured", 130: "stopped"}.get(exit_status, "spider_exception")
    return KINDS[code].remedy


def _figures(row: Row) -> dict[str, Any] | None:
    """The reason's figures, which a query may have left as JSON text."""
    figures = row.get("reason_figures")
    if isinstance(figures, msgspec.Raw):
        return msgspec.json.decode(figures, type=dict[str, Any])
    return figures
