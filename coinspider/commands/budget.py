"""``scrapy budget``: what the month's calls are spent on, and how fresh that keeps the coins."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from scrapy.utils.project import get_project_settings

from coinspider.crawl.command import PlainCommand, WrongUsageError, one_line_errors
from coinspider.installation import program
from coinspider.text import counted, visible

if TYPE_CHECKING:
    from coinspider.daemon.schedules.budget import Budget, PlannedRun
    from coinspider.daemon.schedules.forecast import Cost
    from coinspider.daemon.schedules.schedule import Schedule

SHOWN = 12  # runs
WIDTH = 79  # characters
COLUMNS = ("plan", "calls a_month", "auto_median", "auto_mean", "whole_median", "whole_mean")
A_DAY, A_MONTH = timedelta(days=1), timedelta(days=31)


class Command(PlainCommand):
    """Shows the plan of the next day, and what each of CoinGecko's plans gives."""

    summary = "Show what the month's calls are spent on"
    description = (
        "Show how many calls are left in this month, what a schedule with budget = auto reads"
        " in the next day, what each schedule of scrapyd.conf costs, and how old the coins are"
        " with each of CoinGecko's plans: with budget = auto, and with whole crawls alone."
    )
    examples = (
        "scrapy budget",
        "COINGECKO_API_KEY=CG-... scrapy budget --currency eur",
        "scrapy budget --resume",
    )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        # Before Scrapy's own options, as in other commands.
        group = parser.add_argument_group("Budget")
        super().add_options(parser)
        group.add_argument(
            "--currency",
            default="usd",
            type=str.lower,
            help="of the coins whose plan is shown (default: %(default)s)",
        )
        group.add_argument(
            "--resume",
            metavar="ACCOUNT",
            nargs="?",
            const="",
            help="make calls again although the API has said that the month's credits are used up;"
            " of the key in the settings, or of an account as the pages name it",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from coinspider.store.connection import plain_errors

        self.reject_arguments(args)
        with one_line_errors(), plain_errors():
            if opts.resume is not None:
                print(_resume(opts.resume))
                return
            for line in _lines(opts.currency):
                print(line)


def _lines(currency: str) -> Iterator[str]:
    from coinspider.daemon.schedules.budget import plan
    from coinspider.daemon.schedules.budget_facts import (
        read_budgets,
        read_credits,
        read_reads,
        settings_of,
    )
    from coinspider.daemon.schedules.forecast import read_costs

    is_known, now = _check_currency(currency), datetime.now(UTC)
    schedules, schedule = _schedules(currency)
    known, budgets = read_credits(settings_of(schedule)), read_budgets(schedule, schedules, now)
    yield f"{known.account}: {counted(known.used, 'call')} in this month"
    if not budgets:
        yield "This plan counts no calls: budget = auto crawls all coins every three minutes."
    else:
        yield f"{known.left:,} calls are left until {budgets[0].month_end:%Y-%m-%d %H:%M} UTC"
        if known.exhausted:
            yield f"{known.exhausted} ({program()} budget --resume tries again)"
        yield from _plan_lines(list(plan(budgets, read_reads(currency, None), now, now + A_DAY)))
    yield ""
    yield from _cost_lines(read_costs(schedules, now))
    if not is_known:
        yield "No crawl has been complete yet: the usual number of coins is assumed."
    yield from _table(budgets[0] if budgets else None)


def _check_currency(currency: str) -> bool:
    """Whether there are coins in it; raises :exc:`ConfigurationError` if only in others."""
    from coinspider.daemon.database import connection
    from coinspider.errors import NothingCrawledError
    from coinspider.items import FullCoin
    from coinspider.setting_kinds import parse_arguments
    from coinspider.spiders.coins import CoinsArguments
    from coinspider.store.tables import RowFilter, check_constants, list_values, table_of

    parse_arguments(CoinsArguments, {"vs_currency": currency})
    with connection() as connected:
        try:
            is_empty = not list_values(connected, FullCoin.table, "vs_currency")
        except NothingCrawledError:
            is_empty = True
        if not is_empty:
            check_constants(
                connected,
                RowFilter(table_of(FullCoin), {"vs_currency": currency}, ["coin_id"], "coin_id"),
            )
    return not is_empty


def _schedules(currency: str) -> tuple[list["Schedule"], "Schedule"]:
    """The schedules of ``scrapyd.conf``, and that with a budget for this currency, or one such."""
    from coinspider.daemon.configuration import local_configuration, sections
    from coinspider.daemon.schedules.schedule import AUTO, Schedule, read_schedules

    found = read_schedules(sections(local_configuration()))
    for one in found:
        if one.budget and one.enabled and one.arguments.get("vs_currency", "usd") == currency:
            return found, one
    return found, Schedule("budget", "coins", budget=AUTO, arguments={"vs_currency": currency})


def _cost_lines(costs: Sequence["Cost"]) -> Iterator[str]:
    from textwrap import fill

    if costs:
        yield "The schedules of scrapyd.conf:"
    for cost in costs:
        text = f"{cost.schedule.name}: {cost.schedule.when}"
        if cost.warning:
            text = f"{cost.schedule.name}: {cost.warning}"
        elif cost.calls is not None:
            text += f", {cost.calls:,} calls a month"
        if cost.ages and not cost.warning:
            median, mean = cost.ages.median / 60, cost.ages.mean / 60
            text += f"; the age of a coin: median {median:.1f} minutes, mean {mean:.1f}"
        yield fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    if costs:
        yield ""


def _resume(account: str) -> str:
    from coinspider.daemon.database import connection
    from coinspider.daemon.schedules.budget_facts import read_credits
    from coinspider.store.account import list_api_usage, resume

    account = account or read_credits(get_project_settings()).account
    with connection() as connected:
        known = {one.account: one for one in list_api_usage(connected)}
        if account not in known:
            there = f": there are {', '.join(known)}" if known else ": no call was made yet"
            raise WrongUsageError(f"no account {visible(account)} is known{there}")
        if resume(connected, account):
            return f"{account}: calls are made again"
    if known[account].credits_left != 0:
        return f"{account}: nothing to resume, its credits are not used up"
    return (
        f"{account}: nothing to resume, the API has not said that its credits are used up; by the"
        f" count of {known[account].calls_this_month:,} calls they are: if there are more, set"
        " COINGECKO_MONTHLY_CREDITS, for other APIs API_MONTHLY_CREDITS"
    )


def _plan_lines(runs: Sequence["PlannedRun"]) -> Iterator[str]:
    calls = sum(run.part.calls for run in runs)
    yield ""
    made = f"{counted(len(runs), 'crawl')} with {counted(calls, 'call')}"
    yield f"In the next day budget = auto makes {made}:"
    for run in runs[:SHOWN]:
        yield f"  {run.at:%H:%M}  {run.part}"
    if len(runs) > SHOWN:
        yield f"  ... and {len(runs) - SHOWN} more"


def _table(budget: "Budget | None") -> Iterator[str]:
    """The age of a coin, weighted by volume, for each plan that has credits."""
    from coinspider.daemon.schedules.budget import Budget, volume_by_rank
    from coinspider.daemon.schedules.budget_facts import USUAL_COINS
    from coinspider.daemon.schedules.forecast import simulate, simulate_whole
    from coinspider.export.terminal import table_lines, terminal_style
    from coinspider.sources.coingecko import PLANS
    from coinspider.store.fetch import Listing

    start = datetime.now(UTC)
    budget = budget or Budget(0, start, volume_by_rank(USUAL_COINS))
    rows = []
    for name, of_plan in PLANS.items():
        if of_plan.credits:
            own = budget._replace(calls=of_plan.credits, month_end=start + A_MONTH)
            ages = (simulate(own, start), simulate_whole(own, start))
            minutes = [seconds / 60 for age in ages for seconds in (age.median, age.mean)]
            rows.append((name, Decimal(of_plan.credits), *minutes))
    yield "The age of a coin in minutes, weighted by its trading volume,"
    yield "with budget = auto and with whole crawls alone:"
    yield from table_lines(Listing(COLUMNS, rows), terminal_style(color=False))
