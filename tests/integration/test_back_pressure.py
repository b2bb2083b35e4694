"""A slow database slows a crawl down, so that few records wait; one that is far away does not."""

from coinspider.settings import SCRAPER_SLOT_MAX_ACTIVE_SIZE
from tests.helpers.postgres_proxy import PostgresProxy
from tests.helpers.processes import wait_until

WAIT = 0.2  # seconds a batch
SLOW = f"""
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep({WAIT}); RETURN NULL; END';
CREATE TRIGGER slow AFTER INSERT ON full_coin EXECUTE FUNCTION wait()
"""
PAGE_SIZE = 210_000  # bytes
BATCH_PAGES = 2  # a batch is 500 rows, a page 250
# One batch is under way and one is full; as many pages wait as may, and one is requested.
IN_HAND = 2 * BATCH_PAGES + SCRAPER_SLOT_MAX_ACTIVE_SIZE // PAGE_SIZE + 2


def test_pages_are_requested_as_fast_as_they_are_stored(scrapy, sandbox, query):
    few = sandbox("--coins", 1)
    assert scrapy("crawl", "coins", COINGECKO_BASE_URL=few.url).returncode == 0
    query(SLOW)
    api = sandbox("--coins", 7500)
    done = scrapy("crawl", "coins", "-s", "LOOKAHEAD_PAGES=1", COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    times = [time for time, _ in api.calls()]
    assert len(times) == 31
    for page, asked in enumerate(times):
        stored = max(0, page - IN_HAND) // BATCH_PAGES
        assert asked - times[0] >= stored * WAIT, f"page {page + 1} came before its turn"


def test_page_takes_one_round_trip_for_its_rows_and_one_for_its_call(scrapy, sandbox, database_url):
    api = sandbox("--coins", 600, "--latency", 0.3)
    settings = ["-s", "LOOKAHEAD_PAGES=1", "-s", "POSTGRES_BATCH_SIZE=50", "-a", "per_page=50"]
    counts = []
    with PostgresProxy(database_url) as network:
        crawl = scrapy.start("crawl", "coins", *settings, COINGECKO_BASE_URL=api.url,
                             DATABASE_URL=network.url)  # fmt: skip
        for pages in (2, 12):
            wait_until(lambda pages=pages: len(api.calls()) >= pages)
            counts.append(network.round_trips)
        _, err = crawl.communicate()
    assert crawl.returncode == 0, err
    # 10 pages, and the heartbeat of every fifth second.
    assert counts[1] - counts[0] <= 2 * 10 + 2
