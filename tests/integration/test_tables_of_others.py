"""Tables in the way, found before the first request; and a separate schema for coinspider."""

import asyncio

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from coinspider.daemon.queue import make_tables
from coinspider.errors import ConfigurationError
from coinspider.items import Asset, FullCoin
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.migration import migrate
from tests.helpers.processes import last_line

SWALLOW = """
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION swallow()
"""
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""
SCHEMA_OF = "SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_name = %s"


@pytest.fixture
def run(database_url):
    """Migrate the tables of coins."""

    async def migrated():
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, FullCoin)

    return lambda: asyncio.run(migrated())


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE VIEW crawl AS SELECT 1 AS id", "crawl is a view, where a table is needed"),
        ("CREATE MATERIALIZED VIEW full_coin AS SELECT 1", "full_coin is a materialized view"),
        ("CREATE SEQUENCE rejected_record", "rejected_record is a sequence"),
        (
            "CREATE TABLE full_coin (coin_id text, vs_currency text, extra jsonb,"
            " PRIMARY KEY (coin_id, vs_currency)) PARTITION BY HASH (coin_id)",
            "full_coin is a partitioned table",
        ),
        ("CREATE TABLE crawl (id int PRIMARY KEY, name text)", "crawl is not coinspider's"),
        ("CREATE TABLE source_state (id int)", "source_state is not coinspider's"),
        ("CREATE TABLE coinspider_schema (id int)", "coinspider_schema is not coinspider's"),
        (
            "CREATE TABLE full_coin (id text PRIMARY KEY, name text)",
            "full_coin is not coinspider's",
        ),
        (
            "CREATE TABLE full_coin (coin_id text, vs_currency text, extra jsonb)",
            "full_coin has no primary key of coin_id, vs_currency",
        ),
        (
            "CREATE TABLE full_coin (coin_id text, vs_currency text, extra jsonb,"
            " owner int NOT NULL, PRIMARY KEY (coin_id, vs_currency))",
            "full_coin has a column owner of your own that may not be null",
        ),
        (
            "CREATE TABLE full_coin (coin_id text, vs_currency text, extra jsonb,"
            " name text GENERATED ALWAYS AS (coin_id) STORED, PRIMARY KEY (coin_id, vs_currency))",
            "the column name of the table full_coin is generated",
        ),
    ],
    ids=lambda text: text[:40],
)
def test_table_in_the_way_is_named_and_left_unchanged(run, query, statement, message):
    query(statement)
    before = query(TABLES)
    with pytest.raises(ConfigurationError, match=message):
        run()
    assert query(TABLES) == before


@pytest.mark.parametrize("table", ["alert", "api_account", "fleet_egg", "coinspider_schema"])
def test_records_of_an_api_do_not_go_into_a_table_of_coinspiders_own(
    database_url, query, monkeypatch, table
):
    make_tables(DatabaseSettings(database_url, None, 5, 10.0, 10.0))
    before = query(COLUMNS)

    async def migrated():
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await migrate(connection, Asset)

    monkeypatch.setattr(Asset, "table", table)
    with pytest.raises(ConfigurationError, match=f"the table {table} is coinspider's own, "):
        asyncio.run(migrated())
    assert query(COLUMNS) == before


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE RULE swallow AS ON INSERT TO {} DO INSTEAD NOTHING", "has a rule"),
        (SWALLOW.replace("{table}", "{}").replace("{event}", "INSERT"), "swallows rows"),
        (SWALLOW.replace("{table}", "{}").replace("{event}", "UPDATE"), "swallows rows"),
    ],
    ids=["rule", "trigger of INSERT", "trigger of UPDATE"],
)
@pytest.mark.parametrize("table", ["crawl", "full_coin", "rejected_record", "source_state"])
def test_rules_and_triggers_that_swallow_rows_are_found(run, query, table, statement, message):
    run()
    query(statement.format(table))
    with pytest.raises(ConfigurationError, match=f"the table {table} .*{message}|{message}"):
        run()
    assert query("SELECT count(*) FROM crawl") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE crawl ALTER process_id TYPE bigint, ALTER page_count TYPE numeric",
        "ALTER TABLE full_coin ALTER market_cap_rank TYPE numeric, ALTER name TYPE varchar",
        "ALTER TABLE full_coin ADD note text NOT NULL DEFAULT ''",
        "ALTER TABLE full_coin DROP CONSTRAINT full_coin_pkey, ADD id serial PRIMARY KEY;"
        " CREATE UNIQUE INDEX ON full_coin (vs_currency, coin_id)",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON full_coin FOR EACH ROW"
        " EXECUTE FUNCTION touch()",
        "ALTER TABLE full_coin ADD CHECK (coin_id <> 'coinspider probe')",
    ],
    ids=["wider", "wider of an item", "column of a user", "other key", "trigger", "check"],
)
def test_harmless_changes_of_a_user_are_accepted(run, query, scrapy, sandbox, statement):
    run()
    query(statement)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=sandbox("--coins", 10).url)
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*), max(market_cap_rank) FROM full_coin") == [(10, 10)]


def test_it_is_found_before_the_first_request_with_advice(scrapy, sandbox, query):
    query("CREATE TABLE crawl (id int PRIMARY KEY, name text)")
    api = sandbox("--coins", 10)
    refused = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert refused.returncode == 1
    assert "set POSTGRES_SCHEMA to a schema for coinspider's tables alone" in last_line(refused)
    assert "Traceback" not in refused.stderr
    assert not api.calls()
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, POSTGRES_SCHEMA="Mine 'n")
    assert done.returncode == 0, done.stderr
    assert query(SCHEMA_OF, "full_coin") == [("Mine 'n",)]
    assert query("SELECT count(*) FROM crawl") == [(0,)]
    listed = scrapy("coins", "--columns", "coin_id", POSTGRES_SCHEMA="Mine 'n")
    assert len(listed.stdout.splitlines()) == 11
    read = scrapy("psql", "-c", "SELECT count(*) FROM full_coin", POSTGRES_SCHEMA="Mine 'n")
    assert "10" in read.stdout


@pytest.fixture
def role(query, database_url):
    """A user who owns nothing."""
    query("CREATE ROLE guest LOGIN")
    yield make_conninfo(database_url, user="guest")
    query("DROP OWNED BY guest")
    query("DROP ROLE guest")


def test_user_without_the_right_to_make_tables_gets_an_error(scrapy, sandbox, role, query):
    api = sandbox("--coins", 10)
    refused = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, DATABASE_URL=role)
    assert refused.returncode == 1
    assert "may not make or change coinspider's tables" in last_line(refused)
    query("CREATE SCHEMA coins AUTHORIZATION guest")
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url, DATABASE_URL=role,
                  POSTGRES_SCHEMA="coins")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_policy_that_concerns_other_rows_is_accepted(scrapy, sandbox, role, query):
    url = sandbox("--coins", 10).url
    query("CREATE SCHEMA coins AUTHORIZATION guest")
    given = {"COINGECKO_BASE_URL": url, "DATABASE_URL": role, "POSTGRES_SCHEMA": "coins"}
    assert scrapy("crawl", "coins", **given).returncode == 0
    query("ALTER TABLE coins.full_coin FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY")
    query("CREATE POLICY usd ON coins.full_coin USING (vs_currency = 'usd')")
    done = scrapy("crawl", "coins", **given)
    assert done.returncode == 0, done.stderr
    refused = scrapy("crawl", "coins", "-a", "vs_currency=eur", **given)
    assert refused.returncode == 1
    assert "row-level security policy" in last_line(refused)
