"""A scrapyd with 17,000 coins, a history, a delisted coin, and hostile ones."""

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psycopg

from coinspider.sandbox.served_coins import coin_id
from tests.helpers.postgres import new_database
from tests.helpers.processes import Scrapy, start_sandbox, wait_until
from tests.helpers.scrapyd_process import CONFIGURATION, Scrapyd

COINS = 17_000
DELISTED, CHARTED = coin_id(5), coin_id(7)
SELDOM = f"{CONFIGURATION}[schedule:coins]\nspider = coins\nevery = 30d\n"
SCRIPT = "<script>document.title = 'hacked'</script>"
HOSTILE = [
    {"id": "hostile", "symbol": '"><img src=x onerror=alert(1)>\u202e' + "W" * 46,
     "image": "javascript:alert(1)",
     "name": SCRIPT, "current_price": 1e-18, "market_cap": int("9" * 46), "ath": 1e25,
     "total_supply": int("7" * 300), "roi": {"currency": "\u202e" + "W" * 90 + "🪙"}},
    {"id": "<b>bold</b>"},
]  # fmt: skip
DELIST = "UPDATE full_coin SET delisted_at = '2025-02-03' WHERE coin_id = %s"
CHART = """
INSERT INTO coin_history (coin_id, vs_currency, recorded_at, current_price, market_cap)
SELECT %s, 'usd', now() - make_interval(mins => 10 * n), 0.000000001 * (20 + mod(n, 7)),
       1e9 * (1 + mod(n, 5))
FROM generate_series(1, 100) AS n
"""


class Site(NamedTuple):
    """Its pages, and the data that they show."""

    daemon: Scrapyd
    database_url: str

    @property
    def url(self) -> str:
        return self.daemon.url


def start_site(stack: ExitStack, server_url: str) -> Site:
    directory = stack.enter_context(TemporaryDirectory(prefix="coinspider-"))
    database_url = new_database(server_url)
    environment = {"DATABASE_URL": database_url, "HISTORY_ENABLED": "1"}
    api = start_sandbox(stack, "--coins", COINS).url
    daemon = Scrapyd(directory, SELDOM, COINGECKO_BASE_URL=api, **environment)
    stack.callback(daemon.start().end)
    # The schedule's first run; the second one never comes.
    wait_until(lambda: daemon.crawl(daemon.schedule()["last_job"])["outcome"])
    body = Path(directory) / "page"
    body.write_text(json.dumps(HOSTILE))
    crawl(environment, start_sandbox(stack, "--body", body).url, "-a", "vs_currency=eur")
    with psycopg.connect(database_url) as connection:
        connection.execute(DELIST, [DELISTED])
        connection.execute(CHART, [CHARTED])
    return Site(daemon, database_url)


def crawl(environment: dict[str, str], api: str, *options: str) -> None:
    run = Scrapy(environment)
    done = run("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1", *options, COINGECKO_BASE_URL=api)
    assert done.returncode == 0, done.stderr
