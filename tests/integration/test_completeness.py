"""What "complete" means: the records add up, and no listed coin disappears."""

import json

import pytest

from coinspider.sandbox.served_coins import coin_id
from tests.helpers.http_server import Handler, Server, running
from tests.helpers.processes import last_line

COINS = 20
SUM = """
SELECT record_count, inserted_count, updated_count, unchanged_count, older_count, repeated_count,
       rejected_count, dropped_count FROM crawl ORDER BY id DESC LIMIT 1
"""
DELISTED = "SELECT coin_id FROM full_coin WHERE delisted_at IS NOT NULL ORDER BY 1"
FIRST, BETWEEN, LAST = 50, 300, 950
PIPELINES = {
    "coinspider.pipelines.CoercePipeline": 100,
    "coinspider.pipelines.SincePipeline": 500,
    "coinspider.pipelines.PostgresPipeline": 900,
}


def with_pipeline(name, place):
    pipelines = PIPELINES | {f"tests.helpers.users_pipelines.{name}": place}
    return ["-s", f"ITEM_PIPELINES={json.dumps(pipelines)}"]


def figures(**counts):
    names = ["new", "changed", "unchanged", "older", "repeated", "rejected", "dropped"]
    return (COINS, *(counts.get(name, 0) for name in names))


@pytest.mark.parametrize(
    ("name", "place", "status", "counts", "said"),
    [
        ("Change", BETWEEN, 0, {"changed": 20}, ""),
        ("Copy", BETWEEN, 0, {"changed": 20}, ""),
        ("Other", BETWEEN, 0, {"new": 20}, ""),
        ("Drop", BETWEEN, 0, {"unchanged": 10, "dropped": 10}, "10 dropped"),
        ("DropRecord", FIRST, 0, {"unchanged": 19, "dropped": 1}, "1 dropped"),
        ("Drop", LAST, 0, {"unchanged": 20}, ""),
        ("Dict", LAST, 0, {"unchanged": 20}, ""),
        ("Dict", BETWEEN, 1, {}, "20 are missing; a pipeline gave dict, which can't be stored"),
        ("Dataclass", BETWEEN, 1, {}, "a pipeline gave Ticker, which can't be stored"),
        ("Nothing", BETWEEN, 1, {}, "a pipeline gave NoneType, which can't be stored"),
        ("Raise", BETWEEN, 1, {"unchanged": 19}, "1 record was lost on their way"),
        ("Spoil", BETWEEN, 1, {"unchanged": 17, "rejected": 3}, "REJECTED_SHARE_MAX"),
        ("Same", BETWEEN, 0, {"new": 1, "repeated": 19}, "19 repeated"),
    ],
)  # fmt: skip
def test_effect_of_a_pipeline_is_counted_and_delists_nothing(  # noqa: PLR0913, PLR0917
    scrapy, sandbox, query, name, place, status, counts, said
):
    api = sandbox("--odd", "--coins", COINS)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    done = scrapy("crawl", "coins", *with_pipeline(name, place), COINGECKO_BASE_URL=api.url)
    assert done.returncode == status, done.stderr
    assert said in last_line(done)
    assert query(SUM) == [figures(**counts)]
    assert query(DELISTED) == []


@pytest.mark.parametrize(
    ("action", "rejected", "reason"),
    [
        ("RETURN NULL", 2, "the table full_coin did not take the row, for a trigger of its own"),
        ("RAISE EXCEPTION 'no scams'", 2, "PostgreSQL: no scams"),
        ("NEW.name = 'changed'", 0, None),
    ],
)
def test_row_that_a_trigger_refuses_counts_as_rejected(  # noqa: PLR0913, PLR0917
    scrapy, sandbox, query, action, rejected, reason
):
    api = sandbox("--odd", "--coins", COINS)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    query("DELETE FROM full_coin")
    query(f"""
        CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.coin_id ~ '1[89]$' THEN {action}; END IF; RETURN NEW; END $$;
        CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON full_coin
            FOR EACH ROW EXECUTE FUNCTION judge()
    """)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert query(SUM) == [figures(new=COINS - rejected, rejected=rejected)]
    told = query("SELECT reason, text::json->>'id' FROM rejected_record ORDER BY 2")
    assert told == [(reason, coin_id(COINS - 2)), (reason, coin_id(COINS - 1))][:rejected]


@pytest.mark.parametrize("coins", [0, 1])
def test_first_crawl_without_any_record_fails(scrapy, sandbox, coins):
    api = sandbox("--odd", "--coins", coins)
    done = scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1 - coins
    assert ("no page held any record" in last_line(done)) == (not coins)


def test_missing_ids_are_named(scrapy, sandbox):
    api = sandbox("--odd", "--coins", COINS)
    ids = f"ids={coin_id(1)},bitcoinn,{coin_id(2)},x"
    done = scrapy("crawl", "coins", "-a", ids, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert "2 new" in last_line(done)
    assert last_line(done).endswith("; the API has no coin bitcoinn, x")
    done = scrapy("crawl", "coins", "-a", "ids=bitcoinn", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert "; the API has no coin bitcoinn (" in last_line(done)
    assert "no page held any record" in last_line(done)


def test_pages_smaller_than_requested_are_mentioned(scrapy, sandbox):
    api = sandbox("--odd", "--coins", COINS, "--short-page", 1)
    done = scrapy("crawl", "coins", "-a", "pages=2", "-a", "per_page=10",
                  COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the 2 pages held 15 coins, not 20: the API's pages are smaller" in last_line(done)


def test_coin_that_returns_with_a_bad_record_is_listed(scrapy, sandbox, query, tmp_path):
    page = tmp_path / "page"
    page.write_text(f'[{{"id":"{coin_id(3)}"}},{{"id":"b","symbol":"b","name":"b"}}]')
    api = sandbox("--odd", "--coins", COINS)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=api.url).returncode == 0
    query("UPDATE full_coin SET delisted_at = now() WHERE coin_id = %s", coin_id(3))
    bad = sandbox("--body", page)
    scrapy("crawl", "coins", "-a", "pages=2", "-s", "REJECTED_SHARE_MAX=1",
           COINGECKO_BASE_URL=bad.url, COINGECKO_RATE_LIMIT="0")  # fmt: skip
    assert query(DELISTED) == []


@pytest.mark.parametrize(("total", "statuses"), [(103, [1, 0, 0]), (120, [1, 1, 1])])
def test_total_that_is_wrong_in_every_crawl_is_remarked_on(scrapy, query, total, statuses):
    """The API may count what it does not list; many that are missing stay a failure."""

    class Pages(Handler):
        def do_GET(self):
            rows = [{"id": number, "name": "x"} for number in range(100)]
            rows = [] if "page=" in self.path and "page=1" not in self.path else rows
            self.send(200, json.dumps({"total": total, "items": rows}).encode())

    with running(Server(Pages)) as api:
        url = f"url={api.url}/things"
        crawl = ("crawl", "next", "-a", url, "-a", "table=thing", "-a", "pagination=page")
        runs = [scrapy(*crawl, "-s", "RETRY_BACKOFF=0.01") for _ in statuses]
    assert [run.returncode for run in runs] == statuses
    assert query("SELECT count(*) FROM thing") == [(100,)]
    if total == 103:
        assert "the figure is not believed" in last_line(runs[1])
        assert "says 103 records, 100 came" in last_line(runs[2])
