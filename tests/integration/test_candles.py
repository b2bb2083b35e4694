"""Candles count each change once, and are the same before and after they are rolled up."""

import random
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import ClassVar

import psycopg
import pytest

from coinspider.records.table_item import Key, TableItem, TrackedAmount
from tests.helpers.changes import NOW, History
from tests.helpers.processes import PROJECT

STEPS = {"1h": {"minute": 0, "second": 0, "microsecond": 0}}
STEPS["1d"] = STEPS["1h"] | {"hour": 0}
MONTH = """
CREATE TABLE coin_history_2025_0{0} PARTITION OF coin_history
FOR VALUES FROM ('2025-0{0}-01 00:00Z') TO ('2025-0{1}-01 00:00Z')
"""
SELECT = """
SELECT coin_id, vs_currency, started_at, open, high, low, close, market_cap, total_volume
FROM "coin_candle_{}" ORDER BY 1, 2, 3
"""
PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = to_regclass(%s) ORDER BY 1
"""


class Metal(TableItem, kw_only=True):
    """An item with other names than CoinGecko's, and a key of one column."""

    table: ClassVar[str] = "metal"
    history_table: ClassVar[str | None] = "metal fix"
    candle_table: ClassVar[str | None] = "Metal candle"
    candle_price: ClassVar[str | None] = "fix"

    metal: Key
    fix: TrackedAmount | None = None


WAREHOUSE = re.search(
    r"```sql\n(CREATE SCHEMA mart.*?)```", (PROJECT / "docs/history.md").read_text(), re.DOTALL
)[1]
JOINED = """
SELECT name, iso_week, close FROM mart.fact_price_daily
JOIN mart.dim_coin USING (coin_id) JOIN mart.dim_date USING (date) ORDER BY date
"""


@pytest.fixture
def history(database_url):
    return History(database_url)


def random_changes(count=600, days=6, seed=1):
    """Changes of three coins in random order, some without a price."""
    rng = random.Random(seed)
    moments = [NOW - timedelta(seconds=n) for n in rng.sample(range(days * 86_400), count)]
    return [
        (rng.choice("abc"), rng.choice(["usd", "eur"]),
         None if rng.random() < 0.1 else Decimal(rng.randrange(1, 10**9)) / 10**20,
         None if rng.random() < 0.2 else Decimal(rng.randrange(10**26)), Decimal(n), moment)
        for n, moment in enumerate(moments)
    ]  # fmt: skip


def candles_of(changes, resolution):
    """The rows of a view, computed by sorting and taking the first and the last."""

    def begin(change):
        return (change[0], change[1], change[5].astimezone(UTC).replace(**STEPS[resolution]))

    def last(values):
        return next((value for value in reversed(values) if value is not None), None)

    found = []
    in_order = sorted(changes, key=lambda change: (begin(change), change[5]))
    for key, group in groupby(in_order, begin):
        rows = list(group)
        if prices := [row[2] for row in rows if row[2] is not None]:
            ohlc = prices[0], max(prices), min(prices), prices[-1]
            found.append((*key, *ohlc, last([r[3] for r in rows]), last([r[4] for r in rows])))
    return found


def texts(rows):
    """With every digit, and times in UTC."""
    return [
        tuple(
            format(value, "f") if isinstance(value, Decimal)
            else value.astimezone(UTC) if isinstance(value, datetime) else value
            for value in row
        )
        for row in rows
    ]  # fmt: skip


@pytest.fixture
def stored(query):
    return lambda resolution: query(SELECT.format(resolution))


def test_candles_are_exact_before_and_after_they_are_rolled_up(history, stored, query):
    changes = random_changes()
    history.make(7).add(*changes)
    # The session's time zone doesn't decide which day it is.
    query(
        "ALTER DATABASE "
        + query("SELECT current_database()")[0][0]
        + " SET timezone TO 'Asia/Kolkata'"
    )
    expected = {name: texts(candles_of(changes, name)) for name in STEPS}
    assert {name: texts(stored(name)) for name in STEPS} == expected
    history.roll_up()
    assert query("SELECT rolled_up_to FROM candle_state")[0][0] == datetime(2025, 6, 13, tzinfo=UTC)
    assert {name: texts(stored(name)) for name in STEPS} == expected
    assert query("SELECT min(recorded_at) >= '2025-06-13 00:00+00' FROM coin_history") == [(True,)]
    history.roll_up()
    history.roll_up(now=NOW + timedelta(days=30))
    assert {name: texts(stored(name)) for name in STEPS} == expected
    assert query("SELECT count(*) FROM coin_history") == [(0,)]


def test_late_change_is_in_its_candle(history, stored):
    early = [("a", "usd", Decimal(n), None, None, NOW - timedelta(hours=30, minutes=n))
             for n in (5, 10)]  # fmt: skip
    late = ("a", "usd", Decimal(99), None, None, NOW - timedelta(hours=30, minutes=7))
    history.make(7).add(*early)
    history.roll_up()
    history.add(late)
    history.roll_up(now=NOW + timedelta(days=3))
    assert texts(stored("1h")) == texts(candles_of([*early, late], "1h"))


def test_clock_that_was_ahead_hides_no_later_change(history, stored, query):
    changes = random_changes(100)
    history.make(7).add(*changes)
    history.roll_up(now=NOW + timedelta(days=30))
    later = [("a", "usd", Decimal(n), None, None, NOW + timedelta(hours=20 * n)) for n in (1, 2, 3)]
    history.make(0).add(*later)
    expected = texts(candles_of([*changes, *later], "1h"))
    history.roll_up(now=NOW + timedelta(hours=61))
    assert query("SELECT rolled_up_to FROM candle_state") == [(datetime(2025, 6, 16, tzinfo=UTC),)]
    assert texts(stored("1h")) == expected
    history.roll_up(now=NOW + timedelta(days=6))
    assert texts(stored("1h")) == expected
    assert query("SELECT count(*) FROM coin_history") == [(0,)]


def test_crawls_that_end_together_roll_up_once(history, stored):
    changes = random_changes(200)
    history.make(7).add(*changes)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: history.roll_up(), range(4)))
    history.roll_up()
    assert texts(stored("1h")) == texts(candles_of(changes, "1h"))


def test_interrupted_roll_up_of_a_day_is_repeated(history, stored, query):
    changes = random_changes(100)
    history.make(7).add(*changes)
    query("ALTER TABLE coin_candle_days ADD CONSTRAINT full_disk CHECK (close < 0) NOT VALID")
    with pytest.raises(psycopg.errors.CheckViolation):
        history.roll_up()
    assert query("SELECT count(*) FROM coin_candle_hours") == [(0,)]
    assert texts(stored("1d")) == texts(candles_of(changes, "1d"))
    query("ALTER TABLE coin_candle_days DROP CONSTRAINT full_disk")
    history.roll_up()
    assert texts(stored("1d")) == texts(candles_of(changes, "1d"))


def test_candles_are_kept_for_their_time_and_days_for_ever(history, stored, query):
    changes = random_changes(50, days=2)
    history.make(3).add(*changes)
    history.roll_up(now=NOW + timedelta(days=5))
    assert query(PARTITIONS, "coin_candle_hours") == [("coin_candle_hours_2025_06",)]
    history.roll_up(now=NOW + timedelta(days=100), hourly=90)
    assert stored("1h")
    history.roll_up(now=NOW + timedelta(days=110), hourly=90)
    assert stored("1h") == []
    assert texts(stored("1d")) == texts(candles_of(changes, "1d"))
    history.roll_up(now=NOW + timedelta(days=112), daily=112)
    kept = [change for change in changes if change[5].date() >= NOW.date()]
    assert texts(stored("1d")) == texts(candles_of(kept, "1d"))


@pytest.mark.parametrize("retention", [0, 1, 5])
def test_changes_are_kept_for_their_time_and_counted_once(history, stored, query, retention):
    changes = random_changes(200)
    history.make(7).add(*changes)
    history.roll_up(retention)
    kept_from = (NOW - timedelta(days=retention)).replace(hour=0) if retention else NOW.min
    kept = [c for c in changes if c[5].replace(tzinfo=None) >= kept_from.replace(tzinfo=None)]
    assert query("SELECT count(*) FROM coin_history") == [(len(kept),)]
    assert texts(stored("1h")) == texts(candles_of(changes, "1h"))


def test_history_of_version_0_1_becomes_candles(history, stored, query):
    changes = random_changes(days=40)
    history.make(0)
    for (name,) in query(PARTITIONS, "coin_history"):
        query(f'DROP TABLE "{name}"')
    query("DROP TABLE candle_state, coin_candle_hours, coin_candle_days CASCADE")
    query("DELETE FROM coinspider_schema WHERE table_name LIKE '%candle%'")
    for month in (5, 6, 7):
        query(MONTH.format(month, month + 1))
    history.add(*changes)
    history.make(0)
    history.roll_up()
    assert texts(stored("1h")) == texts(candles_of(changes, "1h"))
    assert texts(stored("1d")) == texts(candles_of(changes, "1d"))
    assert query(PARTITIONS, "coin_history") == [
        ("coin_history_2025_06",),
        ("coin_history_2025_07",),
    ]
    history.roll_up(now=NOW + timedelta(days=60))
    assert texts(stored("1h")) == texts(candles_of(changes, "1h"))


def test_item_with_other_names_has_candles_too(history, query):
    history.make(7, Metal)
    query('INSERT INTO "metal fix" SELECT \'gold\', n, %s - make_interval(mins => n)'
          " FROM generate_series(1, 9000) AS n", NOW)  # fmt: skip
    before = query('SELECT * FROM "Metal candle_1h" ORDER BY started_at')
    assert before[-1][2:] == tuple(map(Decimal, (60, 60, 1, 1)))
    history.roll_up(item_class=Metal)
    assert query('SELECT * FROM "Metal candle_1h" ORDER BY started_at') == before
    assert len(query('SELECT * FROM "Metal candle_1d"')) == 7


def test_view_of_a_user_is_not_in_the_way(history, query):
    history.make(0)
    query("CREATE VIEW mine AS SELECT coin_id, close FROM coin_candle_1d")
    history.make(0)
    assert query("SELECT count(*) FROM mine") == [(0,)]


def test_star_schema_in_the_docs_works(history, query):
    history.make(7).add(*random_changes(60))
    history.roll_up()
    query("INSERT INTO full_coin (coin_id, vs_currency, symbol, name, extra)"
          " SELECT key, currency, 'x', upper(key), '{}'"
          " FROM unnest('{a,b,c}'::text[]) AS key,"
          " unnest('{usd,eur}'::text[]) AS currency")  # fmt: skip
    query(WAREHOUSE)
    found = query(JOINED)
    assert len(found) == len(query("SELECT 1 FROM coin_candle_1d"))
    assert {name for name, _, _ in found} == {"A", "B", "C"}
    assert {week for _, week, _ in found} <= {23, 24}
