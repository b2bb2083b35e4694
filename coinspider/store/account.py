"""An API and a key in the database: the state of their limit, and the calls of each month.

The state is read and replaced in one transaction that locks its row, so that crawls change it one
after the other. It works behind a pooler. The server frees the lock as soon as it notices that a
crawl is gone, ten seconds later at most (``idle_in_transaction_session_timeout``).
"""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection, Connection, errors

from coinspider.http.limit.state import (
    LimitState,
    MonthlyCredits,
    count_in_minute,
    first_of_month,
    following_month,
    stored_state,
)
from coinspider.store.connection import CrawlConnection
from coinspider.store.crawl import read_totals
from coinspider.store.schema import API_USAGE

# The first day of this month, by the server's clock and in UTC.
MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
# The fields of Usage
USAGE = f"""
SELECT calls, credits, coalesce(credits_firm, false) AS is_firm, told_left, told_calls,
       extract(epoch FROM now() - told_at)::float8 AS told_age
FROM {API_USAGE.sound} WHERE account = %s AND month = {MONTH}
"""  # noqa: S608
_KEEP_CREDITS = f"""
INSERT INTO api_usage (account, month, credits, credits_firm)
VALUES (%(account)s, {MONTH}, %(credits)s, %(is_firm)s)
ON CONFLICT (account, month)
    DO UPDATE SET credits = excluded.credits, credits_firm = excluded.credits_firm
"""  # noqa: S608
_NOTE_TOLD = f"""
INSERT INTO api_usage AS known (account, month, credits, told_left, told_calls, told_at)
VALUES (%(account)s, {MONTH}, %(credits)s, %(left)s, 0, now())
ON CONFLICT (account, month) DO UPDATE SET
    credits = CASE WHEN known.credits_firm THEN known.credits
                   ELSE coalesce(excluded.credits, known.credits) END,
    told_left = excluded.told_left, told_calls = known.calls, told_at = now()
"""  # noqa: S608
_NOTE_ASKED = f"""
INSERT INTO api_usage (account, month, told_at) VALUES (%(account)s, {MONTH}, now())
ON CONFLICT (account, month) DO UPDATE SET told_at = now()
"""  # noqa: S608
# The second time is read when the row is locked, which may be much later than the first one.
_HELD = """
WITH held AS MATERIALIZED (
    SELECT FROM crawl WHERE id = %(crawl_id)s AND ended_at IS NULL FOR NO KEY UPDATE
)"""
_READ = f"""
{_HELD}, account AS MATERIALIZED (
    SELECT state::text FROM api_account
    WHERE name = %(name)s AND EXISTS (SELECT FROM held) FOR NO KEY UPDATE
)
SELECT state, extract(epoch FROM statement_timestamp())::float8,
       extract(epoch FROM clock_timestamp())::float8
FROM (SELECT FROM held) AS held LEFT JOIN account ON true
"""  # noqa: S608
_ADD = "INSERT INTO api_account (name, state) VALUES (%s, %s::jsonb) ON CONFLICT DO NOTHING"
_CALLS = API_USAGE.columns["calls"].sound("api_usage.calls")
_REPLACED = f"""
replaced AS (
    UPDATE api_account SET state = %(state)s::jsonb, updated_at = now()
    WHERE name = %(name)s {{}}
    RETURNING name
)
INSERT INTO api_usage (account, month, calls)
SELECT name, {MONTH}, greatest(0, %(calls)s) FROM replaced
ON CONFLICT (account, month) DO UPDATE SET
    calls = greatest(0, {_CALLS} + %(calls)s)
RETURNING calls
"""  # noqa: S608
_REPLACE = f"WITH {_REPLACED.format('')}"
# Nobody else has changed it, the crawl's row is open, and no clock was set.
_AS_KNOWN = """
        AND EXISTS (SELECT FROM held) AND state = %(known)s::jsonb
        AND abs(extract(epoch FROM clock_timestamp()) - %(now)s) < 1
"""
_REPLACE_KNOWN = f"{_HELD}, {_REPLACED.format(_AS_KNOWN)}"
_ACCOUNTS = f"""
SELECT account.name, state::text, extract(epoch FROM clock_timestamp())::float8,
       coalesce(calls, 0), credits, coalesce(credits_firm, false), told_left, told_calls,
       extract(epoch FROM now() - told_at)::float8
FROM api_account AS account LEFT JOIN {API_USAGE.sound} ON api_usage.account = account.name
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


class Usage(NamedTuple):
    """The calls of a month, and its credits if they are known."""

    calls: int = 0
    credits: int | None = None
    is_firm: bool = False
    """Whether these credits are never exceeded, whatever the API says is left."""
    told_left: int | None = None
    """What the API said was left, when ``told_calls`` were made."""
    told_calls: int | None = None
    told_age: float | None = None
    """Seconds since the API was asked."""

    def left(self) -> int | None:
        """The remaining credits; ``None`` for no limit.

        They are those that the API told, minus the calls since then, or those of the settings minus
        all calls; of both the smaller number if the settings are firm.
        """
        counted = told = None
        if self.credits is not None:
            counted = max(0, self.credits - self.calls)
        if self.told_left is not None:
            told = max(0, self.told_left - (self.calls - (self.told_calls or 0)))
        if not self.is_firm:
            return counted if told is None else told
        return counted if told is None or counted is None else min(counted, told)

    def with_settings(self, monthly: MonthlyCredits) -> "Usage":
        """With the credits of the settings or the plan, unless the API itself has said others."""
        if monthly.is_firm or self.told_left is None:
            return self._replace(credits=monthly.calls, is_firm=monthly.is_firm)
        return self._replace(is_firm=False)


async def read_usage(connection: AsyncConnection, account: str) -> Usage:
    """Of this month."""
    row = await (await connection.execute(USAGE, [account])).fetchone()
    return Usage(*row) if row else Usage()


async def keep_credits(connection: AsyncConnection, account: str, usage: Usage) -> None:
    """Store this month's credits from the settings or the plan."""
    values = {"account": account, "credits": usage.credits, "is_firm": usage.is_firm}
    await connection.execute(_KEEP_CREDITS, values)


async def note_told(
    connection: AsyncConnection, account: str, monthly: int | None, left: int
) -> None:
    """Store what the API itself says about this month's credits."""
    await connection.execute(_NOTE_TOLD, {"account": account, "credits": monthly, "left": left})


async def note_asked(connection: AsyncConnection, account: str) -> None:
    """Store that the API was asked now, and did not say."""
    await connection.execute(_NOTE_ASKED, {"account": account})


class LockedAccount(NamedTuple):
    """The state, and two times of the server's clock, in seconds since 1970."""

    state: LimitState
    asked_at: float
    """When the server was asked for the state."""
    now: float
    """When it had it."""


async def lock_account(connection: CrawlConnection, name: str, crawl_id: int) -> LockedAccount:
    """Begin a transaction that locks the account; created if it is missing.

    Raises :exc:`~coinspider.errors.LeaseLostError`, and :exc:`~coinspider.errors.CrawlRowError`.
    """
    values = {"name": name, "crawl_id": crawl_id}
    async with connection.at_once():
        await connection.execute("BEGIN")
        read = await connection.execute(_READ, values)
    row = await read.fetchone()
    if row is None:
        await read_totals(connection, crawl_id)
    elif row[0] is None:
        new = msgspec.json.encode(LimitState()).decode()
        await connection.execute(_ADD, [name, new])
        row = await (await connection.execute(_READ, values)).fetchone()
    assert row
    return LockedAccount(stored_state(row[0]), row[1], row[2])


class Replacement(NamedTuple):
    """A state as JSON, and how many calls are to be counted besides; fewer than 0 if calls are
    given back, also those of the month before.
    """

    state: str
    calls: int


class KnownState(NamedTuple):
    """The state as JSON that a crawl left in the row of its account; the server's time by now."""

    known: str
    now: float


async def replace_account(connection: CrawlConnection, name: str, new: Replacement) -> int:
    """Store a state that was locked, and commit.

    Returns how many calls there are in this month.
    """
    async with connection.at_once():
        replaced = await connection.execute(_REPLACE, {"name": name} | new._asdict())
        await connection.execute("COMMIT")
    row = await replaced.fetchone()
    assert row
    return int(row[0])


async def replace_known_account(
    connection: CrawlConnection, name: str, new: Replacement, known: KnownState, crawl_id: int
) -> int | None:
    """The same without a lock, for a row that is as it was known; ``None`` if it is not.

    Nor is anything stored if the crawl's row is closed, or the server's clock was set.
    """
    values = {"name": name, "crawl_id": crawl_id} | new._asdict() | known._asdict()
    row = await (await connection.execute_alone(_REPLACE_KNOWN, values)).fetchone()
    return int(row[0]) if row else None


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
        with connection.transaction():  # in which a page asks for more, though this may fail
            rows = connection.execute(_ACCOUNTS).fetchall()
    except (errors.UndefinedTable, errors.UndefinedColumn):
        return []
    return [
        _usage(name, stored_state(state), now, Usage(*usage)) for name, state, now, *usage in rows
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
        told_calls=state.configured.calls,
        told_period=state.configured.period,
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
    if not calls or left is None:
        return None
    end = now + (now - first_of_month(now)) * (left / calls)
    return end if end < following_month(now) else None
