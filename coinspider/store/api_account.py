"""An API and a key in the database: the state of their limit, and the calls of each month.

The state is read and replaced in one transaction that locks its row, so that crawls change it one
after the other. It works behind a pooler. The server frees the lock as soon as it notices that a
crawl is gone, ten seconds later at most (``idle_in_transaction_session_timeout``).
"""

from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection

from coinspider.http.limit.state import LimitState

# The second time is read when the row is locked, which may be much later than the first one.
_READ = """
WITH account AS MATERIALIZED (
    SELECT state::text FROM api_account WHERE name = %s FOR NO KEY UPDATE
)
SELECT state, extract(epoch FROM statement_timestamp())::float8,
       extract(epoch FROM clock_timestamp())::float8
FROM account
"""
_ADD = "INSERT INTO api_account (name, state) VALUES (%s, %s::jsonb) ON CONFLICT DO NOTHING"
_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
_REPLACE = f"""
WITH replaced AS (
    UPDATE api_account SET state = %(state)s::jsonb, version = version + 1, updated_at = now()
    WHERE name = %(name)s RETURNING name
)
INSERT INTO api_usage (account, month, calls) SELECT name, {_MONTH}, %(calls)s FROM replaced
ON CONFLICT (account, month) DO UPDATE SET calls = api_usage.calls + excluded.calls
RETURNING calls
"""  # noqa: S608
_USAGE = f"""
SELECT calls, credits, told_left, told_calls, extract(epoch FROM now() - told_at)::float8
FROM api_usage WHERE account = %s AND month = {_MONTH}
"""  # noqa: S608
_NOTE_CREDITS = f"""
INSERT INTO api_usage AS known (account, month, credits, told_left, told_calls, told_at)
VALUES (%(account)s, {_MONTH}, %(credits)s, %(left)s, 0, now())
ON CONFLICT (account, month) DO UPDATE SET credits = excluded.credits,
    told_left = excluded.told_left, told_calls = known.calls, told_at = now()
"""  # noqa: S608

_KEEP_CREDITS = f"""
INSERT INTO api_usage (account, month, credits) VALUES (%(account)s, {_MONTH}, %(credits)s)
ON CONFLICT (account, month) DO UPDATE SET credits = excluded.credits
"""  # noqa: S608


class Account(NamedTuple):
    """The state, and two times of the server's clock, in seconds since 1970."""

    state: LimitState
    asked_at: float
    """When the server was asked for the state."""
    now: float
    """When it had it."""


class Usage(NamedTuple):
    """The calls of a month, and its credits if they are known."""

    calls: int = 0
    credits: int | None = None
    told_left: int | None = None
    told_calls: int | None = None
    told_age: float | None = None
    """Seconds since the API itself said what is left."""

    def left(self, monthly: int | None) -> int | None:
        """The remaining credits, from the API or computed; ``None`` for no limit."""
        if self.told_left is not None:
            return max(0, self.told_left - (self.calls - (self.told_calls or 0)))
        most = monthly if monthly is not None else self.credits
        return None if most is None else max(0, most - self.calls)


async def read_account(connection: AsyncConnection, name: str) -> Account:
    """Lock the account until the transaction ends; created if it is missing."""
    row = await (await connection.execute(_READ, [name])).fetchone()
    if row is None:
        new = msgspec.json.encode(LimitState()).decode()
        await connection.execute(_ADD, [name, new])
        row = await (await connection.execute(_READ, [name])).fetchone()
    assert row
    return Account(msgspec.json.decode(row[0], type=LimitState), row[1], row[2])


async def replace_account(
    connection: AsyncConnection, name: str, state: LimitState, calls: int
) -> int:
    """Store a state that was read in the same transaction, and count ``calls`` more.

    Returns how many there are in this month.
    """
    values = {"name": name, "state": msgspec.json.encode(state).decode(), "calls": calls}
    row = await (await connection.execute(_REPLACE, values)).fetchone()
    assert row
    return int(row[0])


async def read_usage(connection: AsyncConnection, account: str) -> Usage:
    """Of this month, by the server's clock and in UTC."""
    row = await (await connection.execute(_USAGE, [account])).fetchone()
    return Usage(*row) if row else Usage()


async def keep_credits(connection: AsyncConnection, account: str, monthly: int) -> None:
    """Store this month's credits from the settings or the plan, for people to see."""
    await connection.execute(_KEEP_CREDITS, {"account": account, "credits": monthly})


async def note_credits(
    connection: AsyncConnection, account: str, monthly: int | None, left: int
) -> None:
    """Store what the API itself says about this month's credits."""
    await connection.execute(_NOTE_CREDITS, {"account": account, "credits": monthly, "left": left})
