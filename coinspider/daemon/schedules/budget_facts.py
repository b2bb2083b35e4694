"""What a schedule may spend, and on what, by the settings and the rows of earlier crawls."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from psycopg.types.json import Jsonb
from scrapy.settings import BaseSettings, Settings
from scrapy.utils.project import get_project_settings

from coinspider.daemon.database import query
from coinspider.daemon.schedules.budget import (
    PAGE_SIZE,
    Budget,
    PlannedRun,
    Reads,
    next_run,
    plan,
    stale_share,
    volume_by_rank,
)
from coinspider.daemon.schedules.schedule import AUTO, Schedule
from coinspider.errors import ConfigurationError
from coinspider.http.api_key import account_name
from coinspider.http.limit.state import first_of_month, following_month, stored_state
from coinspider.setting_kinds import parse_arguments
from coinspider.sources.coingecko import api_from_settings, monthly_credits
from coinspider.spiders.coins import CoinsArguments, CoinsSpider
from coinspider.store.account import USAGE, Usage
from coinspider.store.crawl import EARLIER, earlier_values
from coinspider.store.schema import CRAWL

_STATE = """
SELECT state::text, extract(epoch FROM now())::float8 AS now FROM api_account WHERE name = %s
"""


class Credits(NamedTuple):
    """An account's credits for the month, and those left; ``None`` if they are not counted."""

    account: str
    monthly: int | None
    left: int | None
    used: int
    exhausted: str = ""
    """The API's message, if it says that none are left."""


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
    for row in query(_STATE, [account]):
        state = stored_state(row["state"])
        if state.exhausted_until > row["now"]:
            return Credits(account, usage.credits, 0, usage.calls, state.exhausted_words)
    return Credits(account, usage.credits, usage.left(), usage.calls)


def account_of(schedule: Schedule) -> str | None:
    """The account whose credits it spends; ``None`` if its settings don't fit each other."""
    settings = settings_of(schedule)
    try:
        base_url = api_from_settings(settings).base_url
    except ConfigurationError:
        return None
    return account_name(base_url, settings.get("COINGECKO_API_KEY"))


USUAL_COINS = 17_500
# Reported volumes are not all true; no page is without any weight.
_SPREAD_EVENLY = 0.01
# Seconds between two reads of most pages, with the fewest calls that a plan has.
_OFTEN = 6 * 3600.0
# How long a coin had not changed when a whole pass came to it is how often it changes; by powers
# of 2, for few rows.
_VOLUMES = f"""
WITH whole AS (
    SELECT max(started_at) AS at FROM {CRAWL.sound}
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


# A row may have any argument.
_NUMBER = "substring(arguments->>'{0}' FROM '^[0-9]{{1,5}}$')::int"
_READS = f"""
SELECT coalesce({_NUMBER.format("first_page")}, 1) AS first_page,
       {_NUMBER.format("pages")} AS pages, max(started_at) AS at
FROM {CRAWL.sound}
WHERE spider = 'coins' AND vs_currency = %s AND outcome = 'complete'
    AND NOT arguments ?| ARRAY['ids', 'category', 'per_page', 'order']
    AND started_at BETWEEN now() - interval '40 days' AND now()
GROUP BY 1, 2
"""  # noqa: S608
# For all crawls: those by hand and on other nodes spend the same calls. Retries cost calls, too; a
# crawl of 0.1 counted none.
_LAST = f"""
SELECT started_at, greatest(page_count, call_count) AS calls FROM {CRAWL.sound}
WHERE spider = 'coins' AND vs_currency = %s AND outcome <> 'skipped' AND whole IS NOT true
    AND started_at <= now()
ORDER BY id DESC LIMIT 1
"""  # noqa: S608
_FAILED = f"""
SELECT started_at AS failed_at, greatest(page_count, call_count) AS failed_calls FROM (
    SELECT * FROM {CRAWL.sound} WHERE spider = 'coins' AND vs_currency = %s AND whole
        AND ended_at IS NOT NULL AND outcome <> 'skipped' AND started_at <= now()
    ORDER BY id DESC LIMIT 1
) AS newest WHERE outcome NOT IN ('complete', 'interrupted')
"""  # noqa: S608
_NEWEST = f"""
SELECT max(started_at) AS at FROM {CRAWL.sound}
WHERE spider = 'coins' AND vs_currency = %s AND started_at <= now()
"""  # noqa: S608


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


_LIST = """
SELECT url FROM crawl WHERE spider = %s AND arguments = %s AND outcome = 'complete'
ORDER BY id DESC LIMIT 1
"""


def read_usual_calls(settings: BaseSettings, arguments: Mapping[str, str]) -> int | None:
    """What the last complete crawls of coins took; ``None`` if there was none. For threads.

    Raises :exc:`ConfigurationError` for settings that contradict each other.
    """
    url = parse_arguments(CoinsArguments, dict(arguments)).url(api_from_settings(settings).base_url)
    rows = query(EARLIER, earlier_values(CoinsSpider.name, url, arguments))
    return rows[0]["calls"] if rows else None


def read_list_calls(spider: str, arguments: Mapping[str, str]) -> tuple[str, int] | None:
    """The URL and the usual calls of any spider's list; ``None`` before a complete crawl.

    For threads.
    """
    found = query(_LIST, [spider, Jsonb(dict(arguments))])
    if not found:
        return None
    url = found[0]["url"]
    return url, query(EARLIER, earlier_values(spider, url, arguments))[0]["calls"]


def assumed_calls(arguments: Mapping[str, str]) -> int | None:
    """The calls of coins before the first crawl; ``None`` for a category, whose size is unknown.

    It assumes that there are ``USUAL_COINS``.
    """
    asked = parse_arguments(CoinsArguments, dict(arguments))
    if asked.category:
        return None
    coins = len(asked.ids.split(",")) if asked.ids else USUAL_COINS
    pages = -(-coins // asked.per_page)
    if asked.ids:
        return pages
    return min(asked.pages, pages) if asked.pages else pages + 1


_A_DAY = timedelta(days=1)
# A run that begins later than this from now was begun before the clock was set back.
_CLOCK_SET = timedelta(hours=1)


def read_budgets(schedule: Schedule, running: Iterable[Schedule], now: datetime) -> list[Budget]:
    """What a schedule may spend beside the other active ones: until the month ends, and in the
    next month as far as that is known. Empty if no calls are counted.
    """
    settings = settings_of(schedule)
    known, month_end = read_credits(settings), following_month(now)
    kept = settings.getfloat("BUDGET_RESERVE_SHARE")
    others = [
        one for one in running if one.name != schedule.name and account_of(one) == known.account
    ]
    rest = (month_end - now) / (month_end - first_of_month(now))
    this = _calls(schedule, others, _spendable(known.left, known.monthly, kept), rest)
    if this is None:
        return []
    weights = read_weights(_currency(schedule.arguments))
    whole_calls = read_usual_calls(settings, schedule.arguments) or 0
    end_calls = max(1, whole_calls - len(weights))
    budgets = [Budget(this, month_end, weights, end_calls)]
    following = _calls(schedule, others, _spendable(known.monthly, known.monthly, kept), 1.0)
    if following is not None:
        budgets.append(Budget(following, following_month(month_end), weights, end_calls))
    return budgets


def read_warning(schedule: Schedule, running: Iterable[Schedule], now: datetime) -> str | None:
    """One line about a budget that never suffices for a pass over all pages. For threads."""
    try:
        budgets = read_budgets(schedule, running, now)
    except ConfigurationError:  # its jobs will report it
        return None
    if not budgets or budgets[-1].calls >= budgets[-1].whole.calls:
        return None
    calls, needed = max(0, int(budgets[-1].calls)), budgets[-1].whole.calls
    return (
        f"{schedule.when} gives it {calls:,} calls a month, and a pass over all pages takes"
        f" {needed}: it reads nothing"
    )


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


def _now() -> datetime:
    """By the server's clock, as in the rows of crawls: a node's may be wrong by years."""
    return cast(datetime, query("SELECT clock_timestamp() AS now")[0]["now"])


def read_next_run(
    schedule: Schedule, running: Iterable[Schedule], last_at: datetime | None
) -> PlannedRun:
    """What the schedule reads next. For threads; raises what :func:`query` does."""
    now = _now()
    if last_at and last_at - now > _CLOCK_SET:
        last_at = None
    budgets = read_budgets(schedule, running, now)
    reads = read_reads(_currency(schedule.arguments), last_at).before(now + _CLOCK_SET)
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
    now = _now()
    try:
        budgets = read_budgets(schedule, running, now)
    except ConfigurationError:  # its jobs will report it
        budgets = []
    if not budgets:
        return DayPlan(schedule.name, [], 0)
    reads = read_reads(_currency(schedule.arguments), last_at).before(now + _CLOCK_SET)
    runs = list(plan(budgets, reads, now, now + _A_DAY))
    return DayPlan(schedule.name, runs[:shown], sum(run.part.calls for run in runs))


def _currency(arguments: Mapping[str, object]) -> str:
    return str(arguments.get("vs_currency", "usd"))
