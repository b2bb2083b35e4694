"""What the database and the settings say about a schedule with ``budget``."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from scrapy.settings import BaseSettings, Settings
from scrapy.utils.project import get_project_settings

from coinspider.daemon.database import query
from coinspider.daemon.schedules.budget import Budget, PlannedRun, Reads, next_run, plan
from coinspider.daemon.schedules.page_weights import read_weights
from coinspider.daemon.schedules.schedule import AUTO, Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.account import account_name
from coinspider.http.limit.month import following_month
from coinspider.sources.coingecko import api_from_settings, monthly_credits
from coinspider.store.ledger import USAGE, Usage

_A_DAY = timedelta(days=1)
_READS = """
SELECT coalesce((arguments->>'first_page')::int, 1) AS first_page,
       (arguments->>'pages')::int AS pages, max(started_at) AS at
FROM crawl
WHERE spider = 'coins' AND vs_currency = %s AND outcome = 'complete'
    AND NOT arguments ?| ARRAY['ids', 'category', 'per_page', 'order']
    AND started_at > now() - interval '40 days'
GROUP BY 1, 2
"""
# For all crawls: those by hand and on other nodes spend the same calls.
_LAST = """
SELECT started_at, page_count FROM crawl
WHERE spider = 'coins' AND vs_currency = %s AND outcome <> 'skipped' AND whole IS NOT true
ORDER BY id DESC LIMIT 1
"""
_FAILED = """
SELECT started_at AS failed_at, page_count + coalesce(refused_count, 0) AS failed_calls FROM (
    SELECT * FROM crawl WHERE spider = 'coins' AND vs_currency = %s AND whole
        AND ended_at IS NOT NULL AND outcome <> 'skipped' ORDER BY id DESC LIMIT 1
) AS newest WHERE outcome NOT IN ('complete', 'interrupted')
"""
_EXHAUSTED = """
SELECT 1 FROM api_account
WHERE name = %s AND (state->>'exhausted_until')::float8 > extract(epoch FROM now())
"""


_NEWEST = "SELECT max(started_at) AS at FROM crawl WHERE spider = 'coins' AND vs_currency = %s"


class Credits(NamedTuple):
    """An account's credits for the month, and those left; ``None`` if they are not counted."""

    account: str
    monthly: int | None
    left: int | None
    used: int


def settings_of(schedule: Schedule) -> Settings:
    """The project's settings with the schedule's own."""
    settings = get_project_settings()
    settings.setdict(dict(schedule.settings), priority="cmdline")
    return settings


def read_credits(settings: BaseSettings) -> Credits:
    """For threads. Raises :exc:`ConfigurationError` for settings that contradict each other."""
    base_url, key = api_from_settings(settings).base_url, settings.get("COINGECKO_API_KEY")
    account = account_name(base_url, key)
    found = query(USAGE, [account])
    usage = (Usage(**found[0]) if found else Usage()).with_settings(monthly_credits(settings))
    left = 0 if query(_EXHAUSTED, [account]) else usage.left()
    return Credits(account, usage.credits, left, usage.calls)


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
        reads = reads._replace(last_at=begun, last_calls=max(1, row["page_count"]))
    for row in query(_FAILED, [vs_currency]):
        reads = reads._replace(**row)
    newest = next((row["at"] for row in query(_NEWEST, [vs_currency])), None)
    if last_at and (newest is None or newest < last_at):  # the job did not begin to crawl
        reads = reads._replace(failed_at=last_at, failed_calls=0)
    return reads


def read_budgets(schedule: Schedule, running: Iterable[Schedule], now: datetime) -> list[Budget]:
    """What a schedule may spend beside the other active ones: until the month ends, and in the
    next month as far as that is known. Empty if no calls are counted.
    """
    settings = settings_of(schedule)
    known, month_end = read_credits(settings), following_month(now)
    kept = settings.getfloat("BUDGET_RESERVE_SHARE")
    others = [
        one for one in running if one.name != schedule.name and _account(one) == known.account
    ]
    month = month_end - now.astimezone(UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    rest = (month_end - now) / month
    this = _calls(schedule, others, _spendable(known.left, known.monthly, kept), rest)
    if this is None:
        return []
    weights = read_weights(_currency(schedule.arguments))
    budgets = [Budget(this, month_end, weights)]
    following = _calls(schedule, others, _spendable(known.monthly, known.monthly, kept), 1.0)
    if following is not None:
        budgets.append(Budget(following, following_month(month_end), weights))
    return budgets


def _spendable(left: int | None, monthly: int | None, kept: float) -> float | None:
    return None if left is None else left - kept * (monthly or left)


def _calls(
    schedule: Schedule, others: Sequence[Schedule], left: float | None, rest: float
) -> float | None:
    """The calls for a schedule, of those that are ``left`` for the ``rest`` of the month (1 for a
    whole one); ``None`` if no calls are counted.
    """
    owned = rest * sum(int(one.budget or 0) for one in others if one.budget != AUTO)
    if schedule.budget != AUTO:
        own = rest * int(schedule.budget or 0)
        return own if left is None else own * min(1.0, left / (own + owned))
    if left is None:
        return None
    return (left - owned) / (1 + sum(one.budget == AUTO for one in others))


def _account(schedule: Schedule) -> str | None:
    """The account whose credits it spends; ``None`` if its settings don't fit each other."""
    settings = settings_of(schedule)
    try:
        base_url = api_from_settings(settings).base_url
    except ConfigurationError:
        return None
    return account_name(base_url, settings.get("COINGECKO_API_KEY"))


def read_next_run(
    schedule: Schedule, running: Iterable[Schedule], last_at: datetime | None
) -> PlannedRun:
    """What the schedule reads next. For threads; raises what :func:`query` does."""
    now = datetime.now(UTC)
    budgets = read_budgets(schedule, running, now)
    reads = read_reads(_currency(schedule.arguments), last_at)
    if not budgets:
        whole = Budget(0, now, []).whole
        assert schedule.every
        return PlannedRun(max(now, last_at + schedule.every) if last_at else now, whole)
    return next_run(budgets[0], reads, now)


class DayPlan(NamedTuple):
    """What a schedule with a budget reads in the next day: the first runs, and the calls of all."""

    schedule: str
    runs: list[PlannedRun]
    calls: int


def read_plan(
    schedule: Schedule, running: Iterable[Schedule], last_at: datetime | None, shown: int
) -> DayPlan:
    """For threads. No runs if no calls are counted, or if the settings contradict each other."""
    now = datetime.now(UTC)
    try:
        budgets = read_budgets(schedule, running, now)
    except ConfigurationError:  # its jobs will report it
        budgets = []
    if not budgets:
        return DayPlan(schedule.name, [], 0)
    reads = read_reads(_currency(schedule.arguments), last_at)
    runs = list(plan(budgets, reads, now, now + _A_DAY))
    return DayPlan(schedule.name, runs[:shown], sum(run.part.calls for run in runs))


def _currency(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("vs_currency", "usd"))
