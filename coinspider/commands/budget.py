"""``scrapy budget``: what the month's calls are spent on, and how fresh that keeps the coins."""

import argparse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scrapy.exceptions import UsageError
from scrapy.utils.project import get_project_settings

from coinspider.crawl.command import PlainCommand, one_line_errors
from coinspider.text import visible

if TYPE_CHECKING:
    from coinspider.daemon.schedules.budget import PlannedRun
    from coinspider.daemon.schedules.freshness import Freshness

SHOWN = 12  # runs
A_DAY, A_MONTH = timedelta(days=1), timedelta(days=31)


class Command(PlainCommand):
    """Shows the plan of the next day, and what each of CoinGecko's plans gives."""

    def short_desc(self) -> str:
        return "Show what the month's calls are spent on"

    def long_desc(self) -> str:
        return (
            "Show how many calls are left in this month, what a schedule with budget = auto reads"
            " in the next day, and how old the coins are with each of CoinGecko's plans: with that"
            " schedule, and with whole crawls alone."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        group = parser.add_argument_group("Budget")
        group.add_argument("--currency", default="usd", help="whose coins (default: %(default)s)")
        group.add_argument(
            "--resume", metavar="ACCOUNT", nargs="?", const="",
            help="make calls again although the API has said that the month's credits are used up;"
            " of the key in the settings, or of an account as the pages name it",
        )  # fmt: skip

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        self.reject_arguments(args)
        with one_line_errors():
            if opts.resume is not None:
                print(_resume(opts.resume))
                return
            for line in _lines(opts.currency):
                print(line)


def _lines(currency: str) -> Iterator[str]:
    from coinspider.daemon.schedules.account_credits import read_credits, settings_of
    from coinspider.daemon.schedules.budget import plan
    from coinspider.daemon.schedules.budget_facts import read_budgets
    from coinspider.daemon.schedules.reads import read_reads
    from coinspider.daemon.schedules.schedule import AUTO, Schedule

    schedule = Schedule("budget", "coins", budget=AUTO, arguments={"vs_currency": currency})
    now = datetime.now(UTC)
    known, budgets = read_credits(settings_of(schedule)), read_budgets(schedule, [], now)
    yield f"{known.account}: {known.used:,} calls in this month"
    if not budgets:
        yield "This plan counts no calls: budget = auto crawls all coins every three minutes."
    else:
        yield f"{known.left:,} calls are left until {budgets[0].month_end:%Y-%m-%d %H:%M} UTC"
        yield from _plan_lines(list(plan(budgets, read_reads(currency, None), now, now + A_DAY)))
    yield ""
    yield from _table(budgets[0].weights if budgets else None)


def _resume(account: str) -> str:
    from coinspider.daemon.database import connection
    from coinspider.daemon.schedules.account_credits import read_credits
    from coinspider.store.api_usage import list_api_usage, resume

    account = account or read_credits(get_project_settings()).account
    with connection() as connected:
        known = {one.account: one for one in list_api_usage(connected)}
        if account not in known:
            there = f": there are {', '.join(known)}" if known else ": no call was made yet"
            raise UsageError(f"no account {visible(account)} is known{there}", print_help=False)
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
    yield f"In the next day budget = auto makes {len(runs)} crawls with {calls} calls:"
    for run in runs[:SHOWN]:
        yield f"  {run.at:%H:%M}  {run.part}"
    if len(runs) > SHOWN:
        yield f"  ... and {len(runs) - SHOWN} more"


def _table(weights: Sequence[float] | None) -> Iterator[str]:
    """The age of a coin, weighted by volume, for each plan that has credits."""
    from coinspider.daemon.schedules.budget import Budget, Reads, plan
    from coinspider.daemon.schedules.freshness import freshness, volume_by_rank, whole_passes
    from coinspider.daemon.schedules.page_weights import USUAL_COINS
    from coinspider.sources.coingecko import PLANS

    weights = weights or volume_by_rank(USUAL_COINS)
    start = datetime.now(UTC)
    end, month = start + timedelta(days=3), start + A_MONTH
    yield "The age of a coin in minutes, weighted by its trading volume:"
    yield f"{'plan':<9}{'calls a month':>14}  {'budget = auto':<26}whole crawls alone"
    yield f"{'':<25}{'median':<12}{'mean':<14}{'median':<12}mean"
    for name, of_plan in PLANS.items():
        if of_plan.credits:
            runs = list(plan([Budget(of_plan.credits, month, weights)], Reads(None), start, end))
            share = int(of_plan.credits * ((end - start) / A_MONTH))
            ours = freshness(runs, weights, start, end)
            naive = freshness(whole_passes(len(weights), share, start, end), weights, start, end)
            yield f"{name:<9}{of_plan.credits:>14,}  {_ages(ours)}  {_ages(naive)}".rstrip()


def _ages(found: "Freshness") -> str:
    return f"{found.median / 60:<12.1f}{found.mean / 60:<12.1f}"
