"""The calls of each month and key (the table ``api_usage``), and how many are left."""

from typing import NamedTuple

from psycopg import AsyncConnection

from coinspider.http.limit.credits import MonthlyCredits

# The first day of this month, by the server's clock and in UTC.
MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"
# The fields of Usage
USAGE = f"""
SELECT calls, credits, coalesce(credits_firm, false) AS is_firm, told_left, told_calls,
       extract(epoch FROM now() - told_at)::float8 AS told_age
FROM api_usage WHERE account = %s AND month = {MONTH}
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
