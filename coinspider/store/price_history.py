"""How a coin's price went, from its history."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from psycopg import Connection

POINTS_MAX = 400
_EXISTS = "SELECT to_regclass('coin_history') IS NOT NULL"
# Of each of the equal spans between the first and the last one the last price.
_PRICES = """
WITH price AS (
    SELECT recorded_at, current_price FROM coin_history
    WHERE coin_id = %(coin_id)s AND vs_currency = %(currency)s AND recorded_at >= %(since)s
        AND current_price IS NOT NULL
),
whole AS (SELECT min(recorded_at) AS first, max(recorded_at) AS last FROM price)
SELECT DISTINCT ON (span) recorded_at, current_price
FROM price, whole, LATERAL (
    SELECT date_bin(greatest((last - first) / %(points)s, '1 ms'), recorded_at, first) AS span
)
ORDER BY span, recorded_at DESC
"""


def price_history(
    connection: Connection, coin_id: str, currency: str, days: int, now: datetime | None = None
) -> list[tuple[datetime, Decimal]] | None:
    """The prices of the last days in the order of their times, ``POINTS_MAX`` and one at the most.

    ``None`` where no history is kept (``HISTORY_ENABLED``).
    """
    [exists] = connection.execute(_EXISTS).fetchone() or [False]
    if not exists:
        return None
    values = {
        "coin_id": coin_id, "currency": currency, "points": POINTS_MAX,
        "since": (now or datetime.now(UTC)) - timedelta(days=days),
    }  # fmt: skip
    return connection.execute(_PRICES, values).fetchall()
