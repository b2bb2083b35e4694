"""The pages in scrapyd, as their HTML and JSON say it; test_browser.py looks at them."""

import json
import re
from contextlib import closing
from decimal import Decimal
from html import unescape
from urllib.error import HTTPError

import psycopg
import pytest

from tests.helpers.site import CHARTED, COINS, DELISTED, SCRIPT

PAGES = ["coins", "coin?id=coin-0000007", "crawls", "rejected"]


@pytest.fixture
def coins(site):
    """The answer of ``coins.json``, its numbers with every digit."""
    return lambda query: json.loads(site.daemon.open(f"coins.json?{query}"), parse_float=Decimal)


@pytest.fixture
def in_order(site):
    """The first 50 ids as the database has them."""

    def query(condition, order):
        with psycopg.connect(site.database_url) as connection:
            rows = connection.execute(
                f"SELECT coin_id FROM full_coin WHERE {condition} ORDER BY {order} LIMIT 50"  # noqa: S608
            )
            return [coin_id for (coin_id,) in rows]

    return query


def refusal(daemon, path):
    """The status and the body of an answer that is none."""
    with pytest.raises(HTTPError) as caught:
        daemon.open(path)
    with closing(caught.value) as answer:
        return answer.code, answer.read().decode()


def ids(answer):
    return [coin["coin_id"] for coin in answer["coins"]]


@pytest.mark.parametrize(
    ("query", "condition", "order"),
    [
        ("", "delisted_at IS NULL", "market_cap_rank NULLS LAST, coin_id"),
        ("sort=-current_price", "delisted_at IS NULL", "current_price DESC NULLS LAST, coin_id"),
        ("sort=ath&descending=1", "delisted_at IS NULL", "ath DESC NULLS LAST, coin_id"),
        ("sort=name&listed=all", "true", "name, coin_id"),
        ("page=7&sort=coin_id", "delisted_at IS NULL", "coin_id OFFSET 300"),
        ("listed=delisted", "delisted_at IS NOT NULL", "coin_id"),
        ("search=QZ", "delisted_at IS NULL AND (symbol ILIKE '%qz%' OR name ILIKE '%qz%')",
         "market_cap_rank, coin_id"),
        ("search=%25", "delisted_at IS NULL AND (strpos(symbol || name, '%') > 0)",
         "market_cap_rank, coin_id"),
    ],
    ids=lambda value: value if "=" in value or not value else "",
)  # fmt: skip
def test_coins_are_searched_sorted_and_paged_by_the_database(coins, in_order, query, condition,
                                                             order):  # fmt: skip
    answer = coins(query)
    assert ids(answer) == in_order(f"vs_currency = 'usd' AND {condition}", order)


def test_json_has_every_digit_and_says_where_it_is(coins, site):
    answer = coins("limit=1000&page=17&listed=all&sort=coin_id")
    assert (answer["total"], answer["page"], answer["pages"]) == (COINS, 17, 17)
    assert len(answer["coins"]) == 1000
    with psycopg.connect(site.database_url) as connection:
        for coin in answer["coins"][::100]:
            [price] = connection.execute(
                "SELECT current_price::text FROM full_coin WHERE coin_id = %s", [coin["coin_id"]]
            ).fetchone()
            sent = coin["current_price"]
            assert (sent if sent is None else format(Decimal(sent), "f")) == price
    [hostile] = coins("currency=eur")["coins"]
    assert (hostile["name"], hostile["current_price"]) == (SCRIPT, Decimal("1e-18"))


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("coins?sort=price", 400, "no column price: there are coin_id"),
        ("coins?sort=name%22--", 400, 'no column name"--'),
        ("coins?page=0", 400, "page=0 is not a number from 1"),
        ("coins?limit=1001", 400, "limit=1001 is not a number from 1 to 1000"),
        ("coins?limit=%D9%A1", 400, "is not a number"),
        ("coins?listed=maybe", 400, "listed=maybe is none of all, listed, delisted"),
        ("coins?search=%00", 400, "NUL"),
        ("coins.json?page=x", 400, "page=x is not a number"),
        ("coin?id=nobody", 404, "There is no coin nobody in usd."),
        ("coin?id=<b>", 404, "There is no coin <b> in usd."),
        ("rejected?crawl=x", 400, "crawl=x is not a number"),
        ("coins/more", 404, "There is no such page."),
    ],
)
def test_what_there_is_not_is_named(site, path, status, message):
    found, body = refusal(site.daemon, path)
    assert found == status
    if path.startswith("coins.json"):
        assert json.loads(body)["status"] == "error"
    assert message in unescape(body)
    assert "<b>" not in body


@pytest.mark.parametrize("path", ["", *PAGES])
def test_each_page_leads_to_the_others(site, path):
    html = site.daemon.open(path)
    assert {"coins", "crawls", "rejected", "jobs"} <= {
        href.removeprefix("/") for href in re.findall(r'href="([^"?]*)"', html)
    }


@pytest.mark.parametrize("path", PAGES)
def test_page_loads_nothing_and_allows_no_script(site, path):
    html, headers = site.daemon.open(path), site.daemon.headers(path)
    assert not re.search(r"<(script|link|img|iframe)|\son\w+=|\bsrc=", html)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_coin_of_a_hostile_api_is_text(site):
    for path in ("coins?currency=eur&columns=all", "coin?id=hostile&currency=eur", "rejected"):
        html = site.daemon.open(path)
        assert "hacked" in html or "&lt;b&gt;bold" in html
        assert not re.search(r"<script|<img|<b>|href=\"javascript", html)


def test_delisted_coin_says_so(site):
    assert "Delisted since 2025-02-03 00:00:00 UTC" in site.daemon.open(f"coin?id={DELISTED}")


def test_coin_shows_all_fields_and_its_price(site):
    html = site.daemon.open(f"coin?id={CHARTED}")
    assert html.count("<dt>") == 28
    assert html.count("<polyline") == 1
    # 17,000 coins have a history, one change each but for that one.
    assert "<polyline" not in site.daemon.open("coin?id=coin-0000008")


def test_crawls_are_measured_against_their_schedule(site):
    html = site.daemon.open("crawls")
    assert re.search(r'<td class="number">\d+ %</td>', html)
    assert len(re.findall(r"<rect", html)) == 3
    assert "every 0:03:00" in html
    [next_run] = re.findall(r"<td>every 0:03:00</td><td>(.*?)</td>", html)
    assert next_run == site.daemon.schedule()["next_time"][:19].replace("T", " ")


def test_without_a_crawl_there_is_nothing_to_see_yet(scrapyd, database_url):
    daemon = scrapyd(DATABASE_URL=database_url)
    for path in PAGES:
        status, body = refusal(daemon, path)
        assert status == 404
        assert "scrapy crawl coins" in body


def test_database_that_is_away_is_said_without_its_password(scrapyd):
    daemon = scrapyd(DATABASE_URL="postgresql://me:hush@127.0.0.1:1/coins")
    status, body = refusal(daemon, "coins")
    assert status == 503
    assert "The database can&#39;t be asked" in body
    assert "hush" not in body + daemon.log.read_text()
