"""Tables of earlier and later versions, in a real PostgreSQL."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import pytest
from msgspec import Raw, field

from coinspider.errors import ConfigurationError
from coinspider.records.table_item import Amount, Integer, Key, TableItem, Version
from coinspider.store.crawl import Batch
from coinspider.store.migration import migrate
from coinspider.store.upsert import upsert
from tests.helpers.postgres import crawl_connection
from tests.helpers.processes import last_line

NOW = datetime(2025, 1, 1, tzinfo=UTC)
BEFORE = NOW - timedelta(seconds=1)
BEGIN = "INSERT INTO crawl (spider, url, started_at) VALUES ('s', 'u', now()) RETURNING id"
COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'thing'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
# The tables as the first version made them.
EARLIER = """
CREATE TABLE crawl (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, spider text NOT NULL,
    url text NOT NULL, started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now(), page_count integer NOT NULL,
    record_count bigint NOT NULL);
INSERT INTO crawl (spider, url, started_at, page_count, record_count)
VALUES ('coins', '{url}/coins/markets?vs_currency=usd&order=id_asc&per_page=250', now(), 2, 300);
CREATE TABLE rejected_record (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rejected_at timestamptz NOT NULL DEFAULT now(), source_url text, text text NOT NULL,
    reason text NOT NULL);
INSERT INTO rejected_record (text, reason) VALUES ('old', 'old');
CREATE TABLE full_coin (coin_id text NOT NULL, vs_currency text NOT NULL, symbol text NOT NULL,
    name text NOT NULL, last_updated timestamptz, extra jsonb NOT NULL,
    PRIMARY KEY (coin_id, vs_currency));
INSERT INTO full_coin VALUES ('old', 'eur', 'o', 'Old', now(), '{{}}');
"""


class Thing(TableItem, kw_only=True):
    table: ClassVar[str] = "thing"

    key: Key
    size: Amount
    changed_at: Version | None = None


class NewerThing(Thing, kw_only=True):
    size: Amount | None = None
    rank: Integer | None = None
    colour: str = field(name="color")


class OtherKey(Thing, kw_only=True):
    second: Key


class OtherType(Thing, kw_only=True):
    size: str


@pytest.fixture
def run(database_url):
    """Run ``migrate`` for an item class, and store items of it."""

    async def migrated(item_class, items):
        async with await crawl_connection(database_url) as connection:
            await migrate(connection, item_class)
            [crawl_id] = await (await connection.execute(BEGIN)).fetchone()
            if items:
                await upsert(connection, Batch(crawl_id, 1), items)

    return lambda item_class, *items: asyncio.run(migrated(item_class, items))


def test_added_column_is_filled_even_if_nothing_else_changed(run, query):
    run(Thing, Thing(key="a", size=Decimal(1), changed_at=NOW, extra=Raw(b'{"color":"red"}')))
    query("CREATE VIEW users_view AS SELECT * FROM thing")
    query("CREATE INDEX users_index ON thing (size)")
    query("CREATE ROLE users_role")
    query("GRANT SELECT ON thing TO users_role")
    new = NewerThing(key="a", size=Decimal(1), changed_at=NOW, rank=7, colour="red")
    run(NewerThing, new)
    assert query(COLUMNS) == [
        ("key", "text", True),
        ("size", "numeric", False),
        ("changed_at", "timestamp with time zone", False),
        ("extra", "jsonb", True),
        ("delisted_at", "timestamp with time zone", False),
        ("first_crawled_at", "timestamp with time zone", False),
        ("rank", "bigint", False),
        ("colour", "text", False),
    ]
    assert query("SELECT key, rank, colour, extra::text FROM thing") == [("a", 7, "red", "{}")]
    assert query("SELECT count(*) FROM users_view") == [(1,)]
    assert query("SELECT to_regclass('users_index')::text") == [("users_index",)]
    assert query("SELECT has_table_privilege('users_role', 'thing', 'SELECT')") == [(True,)]
    query("DROP OWNED BY users_role")
    query("DROP ROLE users_role")
    # A full row is not written again, and an older record changes nothing.
    version = query("SELECT xmin::text FROM thing")
    run(NewerThing, new)
    run(NewerThing, NewerThing(key="a", size=Decimal(2), changed_at=BEFORE, colour="blue"))
    assert query("SELECT xmin::text FROM thing") == version


def test_older_version_leaves_the_columns_of_a_newer_one_alone(run, query, caplog):
    run(Thing)
    run(NewerThing, NewerThing(key="a", size=Decimal(1), changed_at=BEFORE, colour="red"))
    known = query("SELECT columns FROM coinspider_schema WHERE table_name = 'thing'")
    run(Thing, Thing(key="a", size=Decimal(2)), Thing(key="b", size=Decimal(3)))
    assert query("SELECT key, size, colour FROM thing ORDER BY key") == [
        ("a", 2, "red"), ("b", 3, None),
    ]  # fmt: skip
    assert "leaves colour, rank of the table thing as it is" in caplog.text
    run(NewerThing)
    assert query("SELECT columns FROM coinspider_schema WHERE table_name = 'thing'") == known


def test_older_version_is_refused_if_it_can_not_leave_out_newer_columns(run, query):
    run(NewerThing)
    query("ALTER TABLE thing ALTER rank SET NOT NULL")
    with pytest.raises(ConfigurationError, match=r"newer coinspider.*colour, rank"):
        run(Thing)
    query("ALTER TABLE thing DROP colour, DROP rank")
    run(Thing)


def test_columns_of_a_user_are_left_alone(run, query):
    run(Thing)
    query("ALTER TABLE thing ADD COLUMN note text DEFAULT 'mine'")
    run(Thing, Thing(key="a", size=Decimal(1)))
    assert query("SELECT key, note FROM thing") == [("a", "mine")]


@pytest.mark.parametrize(
    ("item_class", "message"),
    [
        (OtherKey, "the primary key of the table thing can't get the column second"),
        (OtherType, "the column size of the table thing is numeric, where text is needed"),
    ],
)
def test_change_that_no_added_column_makes_is_an_error(run, query, item_class, message):
    run(Thing)
    before = query(COLUMNS)
    with pytest.raises(ConfigurationError, match=message):
        run(item_class)
    assert query(COLUMNS) == before


def test_several_processes_may_migrate_at_once(run, query):
    run(Thing)
    with ThreadPoolExecutor() as pool:
        list(pool.map(run, [NewerThing] * 4))
    assert len(query(COLUMNS)) == 8


def test_tables_of_the_first_version_are_brought_up_to_date(scrapy, sandbox, query):
    api = sandbox("--coins", 300)
    for statement in EARLIER.format(url=api.url).split(";\n")[:-1]:
        query(statement)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    # It read another list, without the rehypothecated coins.
    assert "known_page_count" not in done.stderr
    assert "300 new" in last_line(done)
    assert query("SELECT outcome, record_count FROM crawl ORDER BY id") == [
        ("complete", 300),
        ("complete", 300),
    ]
    assert query("SELECT text, crawl_id FROM rejected_record") == [("old", None)]
    query("UPDATE coinspider_schema SET columns = columns || '{odd}' WHERE table_name = 'crawl'")
    query("ALTER TABLE crawl ADD COLUMN odd text")
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    query("ALTER TABLE crawl ALTER odd TYPE bigint USING 1, ALTER odd SET NOT NULL")
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert "the table crawl belongs to a newer coinspider" in last_line(done)
    assert "Traceback" not in done.stderr
