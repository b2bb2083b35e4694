"""An API and a key in the database: the state of their limit, and the calls of each month.

The state is read and replaced in one transaction that locks its row, so that crawls change it one
after the other. It works behind a pooler. The server frees the lock as soon as it notices that a
crawl is gone, ten seconds later at most (``idle_in_transaction_session_timeout``).
"""

from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection

from coinspider.http.limit.state import LimitState
from coinspider.store.ledger import MONTH

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
_REPLACE = f"""
WITH replaced AS (
    UPDATE api_account SET state = %(state)s::jsonb, updated_at = now()
    WHERE name = %(name)s RETURNING name
)
INSERT INTO api_usage (account, month, calls)
SELECT name, {MONTH}, greatest(0, %(calls)s) FROM replaced
ON CONFLICT (account, month) DO UPDATE SET calls = greatest(0, api_usage.calls + %(calls)s)
RETURNING calls
"""  # noqa: S608


class Account(NamedTuple):
    """The state, and two times of the server's clock, in seconds since 1970."""

    state: LimitState
    asked_at: float
    """When the server was asked for the state."""
    now: float
    """When it had it."""


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

    Returns how many there are in this month. They may be less than 0, as calls are given back, also
    those of the month before.
    """
    values = {"name": name, "state": msgspec.json.encode(state).decode(), "calls": calls}
    row = await (await connection.execute(_REPLACE, values)).fetchone()
    assert row
    return int(row[0])
