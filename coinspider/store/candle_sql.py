"""The statements that make candles from changes, and read existing candles."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from coinspider.records.table_item import TableItem, candle_values, primary_key
from coinspider.store.sql_names import identifiers

RESOLUTIONS = {"1h": "hour", "1d": "day"}
OHLC = ("open", "high", "low", "close")
EVERYTHING = sql.SQL("true")
_NOT_ROLLED_UP = """
recorded_at >= coalesce(
    (SELECT rolled_up_to FROM candle_state WHERE history_table = {name}), '-infinity')
"""
# Of each array the first or the last value that is one; all are sorted only once, by the group.
_OF_CHANGES = """
SELECT {keys}, started_at, prices[1] AS open, high, low, prices[cardinality(prices)] AS close
       {last_values}
FROM (
    SELECT {keys}, date_trunc({unit}, recorded_at, 'UTC') AS started_at,
           array_agg({price} ORDER BY recorded_at) FILTER (WHERE {price} IS NOT NULL) AS prices,
           max({price}) AS high, min({price}) AS low {arrays}
    FROM {history} WHERE {condition}
    GROUP BY {keys}, date_trunc({unit}, recorded_at, 'UTC')
) AS grouped
"""
_LAST_VALUE = ", {0}[cardinality({0})] AS {0}"
_ARRAY = ", array_agg({0} ORDER BY recorded_at) FILTER (WHERE {0} IS NOT NULL) AS {0}"
_KEPT: dict[str, LiteralString] = {
    "1h": """
SELECT {keys}, day + make_interval(hours => at.hour) AS started_at, {hour_values}
FROM {hours} WHERE {condition}
""",
    "1d": """
SELECT {keys}, day AS started_at, {values}
FROM {table} WHERE {condition}
""",
}
# A day's candles are one array of arrays. It is unpacked once for all its values, by what OFFSET 0
# keeps together; conditions on the table are as near to it as ever. A version before the release of
# 0.2.0 kept an array of each value instead: its hours are left out.
_DAYS = """
{table} AS kept, LATERAL (
    SELECT kept.hour || '{{}}'::smallint[] AS hour, kept.candles || '{{}}'::numeric[] AS candles
    WHERE kept.candles IS NOT NULL OFFSET 0
) AS unpacked
"""
_HOURS = "{days}, unnest(unpacked.hour) WITH ORDINALITY AS at (hour, place)"
_HOUR_VALUE = "unpacked.candles[at.place::integer][{}] AS {}"
_TABLES = {"1h": "hours", "1d": "days"}


def candles(
    item_class: type[TableItem], resolution: str,
    kept: sql.Composable = EVERYTHING, changed: sql.Composable = EVERYTHING,
) -> sql.Composed:  # fmt: skip
    """All candles: those that are kept, and after them those of the changes not yet rolled up.

    ``kept`` and ``changed`` are conditions on the columns of the two tables.
    """
    not_rolled_up = sql.SQL(_NOT_ROLLED_UP).format(name=sql.Literal(item_class.history_table))
    # Without a price there is no candle.
    return sql.SQL("{} UNION ALL SELECT * FROM ({}) AS changed WHERE high IS NOT NULL").format(
        _kept_candles(item_class, resolution, kept),
        candles_of_changes(
            item_class, resolution, sql.SQL("{} AND {}").format(not_rolled_up, changed)
        ),
    )


def candles_of_changes(
    item_class: type[TableItem], resolution: str, condition: sql.Composable
) -> sql.Composed:
    """Candles of the changes that meet the condition; some may have no price."""
    assert item_class.history_table
    assert item_class.candle_price
    values = candle_values(item_class)
    return sql.SQL(_OF_CHANGES).format(
        keys=identifiers(primary_key(item_class)),
        unit=sql.Literal(RESOLUTIONS[resolution]),
        price=sql.Identifier(item_class.candle_price),
        arrays=_each(_ARRAY, values),
        last_values=_each(_LAST_VALUE, values),
        history=sql.Identifier(item_class.history_table),
        condition=condition,
    )


def candle_columns(item_class: type[TableItem]) -> list[str]:
    """The columns of a view of candles."""
    return [*primary_key(item_class), "started_at", *OHLC, *candle_values(item_class)]


def candle_table(item_class: type[TableItem], resolution: str) -> sql.Identifier:
    """The table of the candles that are kept."""
    return sql.Identifier(f"{item_class.candle_table}_{_TABLES[resolution]}")


def hours(item_class: type[TableItem]) -> sql.Composed:
    """What follows FROM for the hours that are kept: the table as ``kept``, its hours as ``at``."""
    return sql.SQL(_HOURS).format(days=days_of_hours(item_class))


def days_of_hours(item_class: type[TableItem]) -> sql.Composed:
    """As :func:`hours`, without ``at``: a row for each day, of which one says the ``at.place``."""
    return sql.SQL(_DAYS).format(table=candle_table(item_class, "1h"))


def hour_values(item_class: type[TableItem], *wanted: str) -> sql.Composed:
    """These values of each hour, or all, of :func:`hours`."""
    known = kept_values(item_class)
    return sql.SQL(", ").join(
        sql.SQL(_HOUR_VALUE).format(sql.Literal(known.index(name) + 1), sql.Identifier(name))
        for name in wanted or known
    )


def kept_values(item_class: type[TableItem]) -> list[str]:
    """The values of a candle, in the order in which they are kept."""
    return [*OHLC, *candle_values(item_class)]


def _kept_candles(
    item_class: type[TableItem], resolution: str, condition: sql.Composable
) -> sql.Composed:
    return sql.SQL(_KEPT[resolution]).format(
        keys=identifiers(primary_key(item_class)),
        table=candle_table(item_class, resolution),
        hours=hours(item_class),
        values=identifiers(kept_values(item_class)),
        hour_values=hour_values(item_class),
        condition=condition,
    )


def _each(template: LiteralString, columns: Sequence[str]) -> sql.Composed:
    return sql.Composed([sql.SQL(template).format(sql.Identifier(name)) for name in columns])
