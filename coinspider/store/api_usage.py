"""The APIs and keys in use, as values for people and for Prometheus."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from psycopg import Connection, errors

from coinspider.http.limit.credits import following_month
from coinspider.http.limit.state import LimitState, count_in_minute
from coinspider.store.ledger import MONTH, Usage

_ACCOUNTS = f"""
SELECT account.name, state::text, extract(epoch FROM clock_timestamp())::float8,
       coalesce(calls, 0), credits, coalesce(credits_firm, false), told_left, told_calls,
       extract(epoch FROM now() - told_at)::float8
FROM api_account AS account LEFT JOIN api_usage ON api_usage.account = account.name
    AND month = {MONTH}
ORDER BY account.updated_at DESC
"""  # noqa: S608
_ALLOW = """
UPDATE api_account SET state = state - 'exhausted_until' - 'exhausted_words'
WHERE name = %s AND (state->>'exhausted_until')::float8 > extract(epoch FROM clock_timestamp())
"""
# So that the next crawl asks how many are left.
_FORGET_TOLD = f"""
UPDATE api_usage SET told_left = NULL, told_calls = NULL, told_at = NULL
WHERE account = %s AND month = {MONTH} AND told_left <= calls - told_calls
"""  # noqa: S608


class ApiUsage(NamedTuple):
    """What is known about an API and key; calls are those of all crawls.

    ``told_calls`` in ``told_period`` seconds are the limit that a setting or the plan tells,
    ``learned_calls`` in ``learned_period`` the one that refusals or headers told; 0 if none did.
    """

    account: str
    calls_this_minute: int
    calls_this_month: int
    told_calls: int
    told_period: float
    learned_calls: int
    learned_period: float
    waiting_crawls: int
    wait_reason: str
    """Why crawls wait now; empty if none does."""
    refused_wait: float
    """For how many more seconds no call is made, because the API refused one."""
    credits_left: int | None
    credits_until: datetime
    """When new credits come."""
    credits_last_until: datetime | None
    """When they are used up, at the pace of this month; ``None`` if they last."""
    exhausted: str
    """The API's message, if it says that none are left."""


def list_api_usage(connection: Connection) -> list[ApiUsage]:
    """The most recently used account first."""
    try:
        rows = connection.execute(_ACCOUNTS).fetchall()
    except (errors.UndefinedTable, errors.UndefinedColumn):
        return []
    return [
        _usage(name, msgspec.json.decode(state, type=LimitState), now, Usage(*usage))
        for name, state, now, *usage in rows
    ]


def resume(connection: Connection, account: str) -> bool:
    """Allow calls of an account again that the API called used up; return whether it had."""
    allowed = connection.execute(_ALLOW, [account]).rowcount
    return bool(connection.execute(_FORGET_TOLD, [account]).rowcount or allowed)


def _usage(name: str, state: LimitState, now: float, usage: Usage) -> ApiUsage:
    moment = datetime.fromtimestamp(now, UTC)
    left = usage.left()
    waiting = sum(h.waits and h.active_until > now for h in state.holders.values())
    is_exhausted = state.exhausted_until > now
    return ApiUsage(
        account=name,
        calls_this_minute=count_in_minute(state, now),
        calls_this_month=usage.calls,
        told_calls=state.told.calls,
        told_period=state.told.period,
        learned_calls=state.calls,
        learned_period=state.calls / state.rate if state.rate else state.period,
        waiting_crawls=waiting,
        wait_reason=_reason(state, now) if waiting else "",
        refused_wait=max(0.0, state.blocked_until - now),
        credits_left=0 if is_exhausted else left,
        credits_until=following_month(moment),
        credits_last_until=_last_until(moment, usage.calls, left),
        exhausted=state.exhausted_words if is_exhausted else "",
    )


def _reason(state: LimitState, now: float) -> str:
    return state.why if state.blocked_until > now else "the calls of the period are used up"


def _last_until(now: datetime, calls: int, left: int | None) -> datetime | None:
    begun = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if not calls or left is None:
        return None
    end = now + (now - begun) * (left / calls)
    return end if end < following_month(now) else None
