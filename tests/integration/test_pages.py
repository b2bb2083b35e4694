"""The HTML and JSON of scrapyd's pages; test_browser.py looks at them in a browser."""

import csv
import json
import re
from base64 import b64encode
from contextlib import closing
from decimal import Decimal
from hashlib import sha256
from html import unescape
from io import BytesIO, StringIO
from urllib.error import HTTPError
from urllib.parse import quote, urljoin

import psycopg
import pytest
from openpyxl import load_workbook
from psycopg.sql import SQL, Identifier, Literal

from coinspider.daemon.views.cells import STORED
from coinspider.items import FullCoin
from coinspider.records.table_item import stored_columns
from coinspider.store.bounds import BOUNDS
from tests.helpers.processes import wait_until
from tests.helpers.scrapyd_process import CONFIGURATION
from tests.helpers.site import CHARTED, COINS, DELISTED, SCRIPT

NEW_YEAR = f"{CONFIGURATION}[schedule:coins]\nspider = coins\ncron = 0 0 1 1 *\n"
HTML = {"Accept": "text/html"}
PAGES = ["", "coins", "coin?id=coin-0000007", "crawls", "rejected"]


@pytest.fixture
def coins(site):
    """The answer of ``coins.json``, its numbers with every digit."""
    return lambda query: json.loads(site.daemon.open(f"coins.json?{query}"), parse_float=Decimal)


@pytest.fixture
def in_order(site):
    """The first 50 ids in the database's order."""

    def query(condition, order):
        with psycopg.connect(site.database_url) as connection:
            rows = connection.execute(
                f"SELECT coin_id FROM full_coin WHERE {condition} ORDER BY {order} LIMIT 50"  # noqa: S608
            )
            return [coin_id for (coin_id,) in rows]

    return query


def refusal(daemon, path, data=None, headers=None):
    """The status and the body of an error response."""
    with pytest.raises(HTTPError) as caught:
        daemon.open(path, data, headers=headers)
    with closing(caught.value) as answer:
        return answer.code, answer.read().decode()


def test_figures_of_the_market_lead_to_as_many_coins(site):
    page = site.daemon.open("")
    found = re.findall(r'<a href="(coins\?[^"]*)"><strong>([\d,]+)</strong> ([^<]*)<', page)
    figures = {text: figure for _, figure, text in found}
    assert list(figures) == [
        "coins",
        "gainers in 24h",
        "losers in 24h",
        "new in 7 days",
        "delisted",
    ]
    assert figures["coins"] == f"{COINS - 1:,}"
    assert figures["delisted"] == "1"
    for address, figure, text in found:
        shown = site.daemon.open(unescape(address))
        assert f"of {figure} coins" in shown or (figure, "0 coins" in shown) == ("0", True), text
    assert re.search("<strong>[^<]+</strong> market cap", page)


ODD_NAME = 'odd "x" & <y> 5%s\x1b'
ODD_TABLE = """
CREATE TABLE {table} (
    pair text, api_token text, volume numeric, "at" timestamptz, active boolean, own integer,
    "change\x1b %" text,
    extra jsonb, first_crawled_at timestamptz, PRIMARY KEY (pair)
);
INSERT INTO {table}
SELECT 'pair ' || n, 'hush', n * 1e6, '2026-01-01'::timestamptz + make_interval(days => n),
       mod(n, 2) = 0, n, 'n%', '{{"a": [1.50]}}', now() FROM generate_series(1, 60) AS n;
INSERT INTO coinspider_schema (table_name, columns)
VALUES ({name}, '{{pair,volume,at,active,extra,first_crawled_at}}'),
       ('pg_authid', '{{extra,first_crawled_at}}')
"""


def test_any_table_is_seen_searched_sorted_and_downloaded(site):
    with psycopg.connect(site.database_url) as connection:
        connection.execute(
            SQL(ODD_TABLE).format(table=Identifier(ODD_NAME), name=Literal(ODD_NAME))
        )
    try:
        check_odd_table(site.daemon)
    finally:
        with psycopg.connect(site.database_url) as connection:
            connection.execute(SQL("DROP TABLE {}").format(Identifier(ODD_NAME)))


def check_odd_table(daemon):
    index = daemon.open("table/")
    links = [unescape(one) for one in re.findall(r'<th scope="row"><a href="([^"]+)"', index)]
    assert {"crawl", "full_coin", quote(ODD_NAME), "rejected_record"} <= {*links}
    address = f"table/{quote(ODD_NAME)}"
    page = daemon.open(f"{address}?sort=-volume&limit=25")
    assert "1–25 of 60 rows" in page
    assert "those of secrets: api_token." in page
    assert r">change\x1b %</a>" in page
    assert ">60.00 M</data>" in daemon.open(f"{address}?columns=volume&sort=-volume")
    assert "hush" not in page + daemon.open(f"{address}.csv?all=1")
    assert re.findall(r'<th scope="row"[^>]*>(pair \d+)<', page)[:2] == ["pair 60", "pair 59"]
    found = json.loads(daemon.open(
        f"{address}.json?where={quote('volume >= 58M, active = yes, at >= 2026-01-02')}"
    ), parse_float=str)  # fmt: skip
    assert [(row["pair"], row["own"]) for row in found["rows"]] == [
        ("pair 58", 58),
        ("pair 60", 60),
    ]
    assert found["rows"][0]["extra"] == {"a": ["1.50"]}
    rows = rows_of(daemon.open(f"{address}.csv?search=PAIR%2011"))
    assert [list(row.values())[:2] for row in rows] == [["pair 11", "11000000"]]
    book = load_workbook(BytesIO(daemon.read(f"{address}.xlsx?all=1&limit=25")))
    assert len(list(book.active.values)) == 61
    assert daemon.read(f"{address}.parquet")[:4] == b"PAR1"
    code, refused = refusal(daemon, f"{address}?sort=api_token", headers=HTML)
    assert (code, "no column api_token" in refused) == (400, True)
    code, refused = refusal(daemon, f"{address}?where=extra=1", headers=HTML)
    assert (code, "extra = 1: that is not a value of the type jsonb" in refused) == (400, True)
    for unknown in ("nothing", "api_account", "coinspider_schema", "pg_authid"):
        code, refused = refusal(daemon, f"table/{unknown}", headers=HTML)
        assert (code, f'href="{quote(ODD_NAME)}"' in refused) == (404, True)
    assert "All figures, as a table" in daemon.open("crawls")


def status(daemon, path):
    try:
        daemon.read(path)
    except HTTPError as error:
        with closing(error):
            return error.code
    return 200


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
        ("rank_max=20&sort=-coin_id", "delisted_at IS NULL AND market_cap_rank <= 20",
         "coin_id DESC"),
        ("change_min=-5&change_max=5.5", "delisted_at IS NULL AND"
         " price_change_percentage_24h BETWEEN -5 AND 5.5", "market_cap_rank NULLS LAST, coin_id"),
        ("volume_min=1,000,000&cap_min=1e3", "delisted_at IS NULL AND total_volume >= 1e6"
         " AND market_cap >= 1e3", "market_cap_rank NULLS LAST, coin_id"),
        ("watch=coin-0000003,coin-0000001,nobody&watched=1",
         "coin_id IN ('coin-0000001', 'coin-0000003')", "coin_id"),
        ("search=%25", "delisted_at IS NULL AND (strpos(symbol || name, '%') > 0)",
         "market_cap_rank, coin_id"),
    ],
    ids=lambda value: value if "=" in value or not value else "",
)  # fmt: skip
def test_coins_are_searched_sorted_and_paged_by_the_database(coins, in_order, query, condition,
                                                             order):  # fmt: skip
    answer = coins(query)
    assert ids(answer) == in_order(f"vs_currency = 'usd' AND {condition}", order)


def test_json_has_every_digit_and_its_place_in_the_list(coins, site):
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
        ("coins.csv?change_min=x", 400, "change_min=x is not a number, such as -5"),
        ("coins.json?cap_min=NaN&new=0", 400, "cap_min=NaN is not a number"),
        ("coins?cap_min=1e999999", 400, "market cap from: 1e999999 is not a number"),
        ("coins?columns=name,nothing", 400, "no column nothing: there are market_cap_rank"),
        ("coins.csv?sort=price", 400, "no column price"),
        ("coin?id=coin-0000007&range=2d", 400, "range=2d is none of 1d, 7d"),
        ("coin?id=coin-0000007&value=x", 400, "value=x is none of market_cap, total_volume"),
        ("coin?id=coin-0000007&compare=nobody", 404, "There is no coin nobody in usd."),
        ("coin?id=hostile", 404, '<a href="coin?id=hostile&currency=eur">it in eur</a>'),
        ("coin-history.json?id=coin-0000007&resolution=4h", 400, "no candles of 4h: 1h, 1d"),
        ("crawls?outcome=maybe", 400, "outcome=maybe is none of running, complete"),
        ("coins.json?page=x", 400, "page=x is not a number"),
        ("coin?id=nobody", 404, "There is no coin nobody in usd."),
        ("coin?id=<b>", 404, "There is no coin <b> in usd."),
        ("rejected?crawl=x", 400, "crawl=x is not a number"),
        ("coins/more", 404, "There is no such page."),
    ],
)
def test_error_names_what_does_not_exist(site, path, status, message):
    found, body = refusal(site.daemon, path)
    assert found == status
    if ".json" in path:
        assert json.loads(body)["status"] == "error"
    assert message in unescape(body)
    assert "<b>" not in body


@pytest.mark.parametrize("path", [*PAGES, "jobs", "logs/", "logs/coinspider/coins/"])
def test_each_page_links_to_the_others(site, path):
    html = site.daemon.open(path, headers=HTML)
    here = f"{site.url}/{path}"
    links = {urljoin(here, unescape(href)) for href in re.findall(r'href="([^"]*)"', html)}
    for name in ("", "coins", "crawls", "rejected", "jobs", "logs/"):
        assert f"{site.url}/{name}" in links
    assert f"{site.url}/favicon.svg" in links


def test_icon_is_served(site):
    assert site.daemon.open("favicon.svg").startswith("<svg")


@pytest.mark.parametrize("path", [*PAGES, "jobs", "logs/"])
def test_page_loads_nothing_from_other_sites_and_runs_only_its_own_script(site, path):
    html, headers = site.daemon.open(path, headers=HTML), site.daemon.headers(path, HTML)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    policy = headers["Content-Security-Policy"]
    for text, name in ((script, "script-src"), (style, "style-src")):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "img-src 'self'" in policy
    assert "http" not in policy
    assert not re.search(r"<(img|iframe)|\son\w+=|\bsrc=|\sstyle=", html)
    assert headers["X-Content-Type-Options"] == "nosniff"


HOSTILE = ("coins?currency=eur&columns=all", "coin?id=hostile&currency=eur")
REASON = "Object missing required field symbol"


def test_coin_of_a_hostile_api_is_text(site):
    for path in (*HOSTILE, f"rejected?reason={quote(REASON)}"):
        html = site.daemon.open(path)
        assert "hacked" in html or "&lt;b&gt;bold" in html
        assert not re.search(r"<script[^>]*>document|<img|<b>|href=\"javascript", html)
        assert "\u202e" not in html, "it would turn what is around it"


def test_hostile_arguments_are_text(site):
    for path in ("coins", "coin", "crawls", "rejected"):
        for name in ("search", "watch", "columns", "sort", "schedule", "reason", "compare", "id"):
            try:
                html = site.daemon.open(f"{path}?{name}=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
            except HTTPError as error:
                with closing(error):
                    html = error.read().decode()
            assert "<script>alert" not in html


COINS_ARGUMENTS = ("search", "currency", "sort", "limit", "page", "columns", "listed", "watch",
                   "watched", "descending", *BOUNDS, "new")  # fmt: skip
COIN_ARGUMENTS = ("id", "currency", "range", "days", "log", "candles", "compare")
ODD = ("-1", "1e400", "%00%FF%FE", "'{{,,")


def test_no_argument_breaks_a_page(site):
    asked = [f"coins?limit=2&{name}={value}" for name in COINS_ARGUMENTS for value in ODD]
    asked += [f"coin?id={CHARTED}&{name}={value}" for name in COIN_ARGUMENTS for value in ODD]
    asked += [f"coins?limit=2&columns=symbol&sort=-{name}" for name in STORED]
    found = {path: status(site.daemon, path) for path in asked}
    assert {path: code for path, code in found.items() if code not in (200, 400, 404)} == {}


def test_delisted_coin_says_so(site):
    assert "Delisted since 2025-02-03 00:00:00 UTC" in site.daemon.open(f"coin?id={DELISTED}")


def test_coin_shows_all_fields_and_its_price(site):
    html = site.daemon.open(f"coin?id={CHARTED}")
    assert html.count("<dt>") == len(stored_columns(FullCoin)) - 2, "name and price are above"
    assert "Fully diluted valuation" in html
    assert html.count('class="price line') == 1
    html = site.daemon.open(f"coin?id={CHARTED}&value=market_cap&candles=")
    assert "Market cap of " in html
    assert html.count('class="price line') == 1
    # 17,000 coins have a history: all but this one have one change.
    assert 'class="price line' not in site.daemon.open("coin?id=coin-0000008")
    assert "There is no chart" in site.daemon.open("coin?id=coin-0000008")


@pytest.mark.parametrize(
    "extra", ["", "&log=1", "&candles=1", "&candles=1&log=1", "&compare=coin-0000008"]
)
@pytest.mark.parametrize("span", ["1d", "7d", "30d", "90d", "1y", "all"])
def test_chart_of_each_range_is_drawn(site, span, extra):
    html = site.daemon.open(f"coin?id={CHARTED}&range={span}{extra}")
    assert re.search(r'<polyline class="price|<rect class="(up|down)"|There is no chart', html)


@pytest.mark.parametrize("text", ["coin-0000008", "{symbol}", "{name}"])
def test_coin_is_compared_by_id_symbol_or_name(site, text):
    with psycopg.connect(site.database_url) as connection:
        symbol, name = connection.execute(
            "SELECT upper(symbol), name FROM full_coin WHERE coin_id = 'coin-0000008'"
        ).fetchone()
    text = quote(text.format(symbol=symbol, name=name))
    html = site.daemon.open(f"coin?id={CHARTED}&range=1d&compare={text}")
    assert "compare=coin-0000008" in unescape(html)


def test_field_that_can_not_be_read_is_marked_and_the_other_filters_apply(site):
    status, html = refusal(site.daemon, "coins?change_min=x&rank_max=30")
    assert status == 400
    assert re.search(r'<input id="change_min"[^>]* value="x"[^>]* aria-invalid="true"', html)
    assert 'id="change_min-problem" class="bad">x is not a number, such as -5' in html
    assert 20 < html.count("<tr") < 32


def test_empty_result_says_which_filter_excludes_everything(site):
    html = site.daemon.open("coins?search=coin-0000007&rank_min=9000&cap_min=1")
    found = re.findall(r'<li>(.*?): <a href="([^"]*)">([\d,]+) without it', html)
    counts = {words: int(number.replace(",", "")) for words, _, number in found}
    assert counts.pop("search coin-0000007") > 1000
    assert counts == {"rank from 9000": 1, "market cap from 1": 0, "listed": 0}
    [href] = [href for words, href, _ in found if words == "rank from 9000"]
    assert "1–1 of 1 coins" in site.daemon.open(f"coins{unescape(href)}")


@pytest.mark.parametrize(
    ("query", "words"),
    [("watched=1", "The watch list is empty: the star beside a <a"),
     ("currency=xau&rank_max=9", "There are no coins in xau. There are some in: <a")],
)  # fmt: skip
def test_empty_result_of_another_reason_says_so(site, query, words):
    assert words in site.daemon.open(f"coins?{query}")


def test_page_past_the_end_shows_the_last(site):
    html = site.daemon.open("coins?page=99999")
    assert "Page 340 of 340" in html
    assert "16,951–16,999 of 16,999 coins" in html


def test_page_is_shown_after_the_server_ended_its_connection(site):
    assert "of 16,999 coins" in site.daemon.open("coins")
    with psycopg.connect(site.database_url) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle'"
            " AND datname = current_database() AND application_name = 'coinspider'"
        ).fetchall()
    assert ended
    assert "of 16,999 coins" in site.daemon.open("coins?page=2")


def test_coins_are_sorted_by_the_change_of_an_hour(coins):
    column = "price_change_percentage_1h_in_currency"
    for sort in (column, f"-{column}"):
        known = [coin[column] for coin in coins(f"sort={sort}&limit=100")["coins"]]
        known = [change for change in known if change is not None]
        assert known == sorted(known, reverse=sort.startswith("-"))


def rows_of(text):
    return list(csv.DictReader(StringIO(text)))


def test_files_have_the_rows_and_columns_of_the_view(site):
    query = "sort=-current_price&limit=25&page=2&columns=name,current_price,ath"
    page = rows_of(site.daemon.open(f"coins.csv?{query}"))
    assert list(page[0]) == ["coin_id", "name", "current_price", "ath"]
    with psycopg.connect(site.database_url) as connection:
        expected = connection.execute(
            "SELECT coin_id, current_price::text FROM full_coin WHERE vs_currency = 'usd'"
            " AND delisted_at IS NULL ORDER BY full_coin.current_price DESC NULLS LAST,"
            " coin_id DESC"
        ).fetchall()
    assert [(row["coin_id"], row["current_price"]) for row in page] == expected[25:50]
    everything = rows_of(site.daemon.open(f"coins.csv?{query}&all=1"))
    assert [row["coin_id"] for row in everything] == [coin_id for coin_id, _ in expected]
    [workbook] = [load_workbook(BytesIO(site.daemon.read(f"coins.xlsx?{query}")))]
    cells = list(workbook.active.iter_rows(values_only=True))
    assert [row[0] for row in cells[1:]] == [row["coin_id"] for row in page]
    book = load_workbook(BytesIO(site.daemon.read("coins.xlsx?search=nobody&columns=name")))
    assert list(book["coins"].values) == [("coin_id", "name")]
    # A page that would be too long, and what it offers to download, end with the same row.
    assert "coins.csv?limit=250" in site.daemon.open("coins?limit=1000")


def test_json_of_a_view_has_its_columns_and_all_its_rows(coins):
    view = "search=qz&columns=name,last_7_days,market_cap_rank,ath&sort=-ath&limit=25"
    page, everything = coins(f"{view}&page=2"), coins(f"{view}&all=1")
    names = ["coin_id", "name", "market_cap_rank", "ath"]
    assert [list(coin) for coin in page["coins"]] == [names] * 25
    assert (page["page"], page["pages"]) == (2, -(-page["total"] // 25))
    assert (everything["page"], everything["pages"]) == (1, 1)
    assert len(everything["coins"]) == everything["total"] == page["total"] > 49
    assert everything["coins"][25:50] == page["coins"]


def test_file_has_a_name_and_no_formulas(site):
    [row] = rows_of(site.daemon.open("coins.csv?currency=eur&columns=symbol,name"))
    assert row["name"] == SCRIPT
    disposition = site.daemon.headers("coins.csv?currency=eur")["Content-Disposition"]
    assert disposition == 'attachment; filename="coins.csv"'


@pytest.mark.parametrize("resolution", ["1h", "1d", "changes"])
def test_history_of_a_coin_is_a_file(site, resolution):
    query = f"id={CHARTED}&resolution={resolution}"
    answer = json.loads(site.daemon.open(f"coin-history.json?{query}"))
    rows = rows_of(site.daemon.open(f"coin-history.csv?{query}"))
    assert len(rows) == len(answer["history"]) >= 1
    assert ("open" in rows[0]) == (resolution != "changes")


def test_crawls_are_compared_with_their_schedule(site):
    html = site.daemon.open("crawls")
    assert re.search(r'<span class="soft">\d+\.\d s, 0 % of 30 d</span>', html)
    assert "every 30 d" in html
    assert f'title="{site.daemon.schedule()["next_time"][:19].replace("T", " ")} UTC"' in html
    assert "68 pages, 17,000 records, 17,000 new" in html


@pytest.mark.parametrize(
    ("query", "count"),
    [("outcome=complete", 2), ("outcome=failed", 0), ("schedule=coins", 1), ("schedule=no", 0),
     ("schedule=coins&outcome=complete", 1)],
)  # fmt: skip
def test_crawls_are_filtered(site, query, count):
    html = site.daemon.open(f"crawls?{query}")
    assert html.count('<th scope="row">') == count + 1, "and a schedule"
    assert ("No run is like that" in html) == (count == 0)


def test_log_of_a_scheduled_crawl_is_linked(site):
    [path] = re.findall(r'href="(logs/[^"]*\.log)"', site.daemon.open("crawls"))
    assert "Spider closed (finished)" in site.daemon.open(path)


def test_log_is_a_page_for_people_and_a_file_for_programs(site):
    [path] = re.findall(r'href="(logs/[^"]*\.log)"', site.daemon.open("crawls"))
    page, file = site.daemon.open(path, headers=HTML), site.daemon.open(path)
    assert file.startswith("20")
    assert unescape(page).count("Spider closed (finished)") == 1
    assert '<a href="../../">coinspider' not in page
    assert f'href="../../../{path.rpartition("/")[0]}/"' in page, "to the folder"
    assert site.daemon.open(f"{path}?raw=1", headers=HTML) == file
    folder = path.rpartition("/")[0]
    # scrapydweb looks for these words.
    assert f"Directory listing for /{folder}/" in site.daemon.open(f"{folder}/")
    assert path.rpartition("/")[2] in site.daemon.open(f"{folder}/", headers=HTML)


@pytest.mark.parametrize("path", ["nowhere", "a/b/c", "logs/none", "logs/coinspider/none.log"])
def test_page_that_does_not_exist_leads_home(site, path):
    status, page = refusal(site.daemon, path, headers=HTML)
    assert status == 404
    assert "There is no such page." in page
    links = {
        urljoin(f"{site.url}/{path}", unescape(href)) for href in re.findall('href="(.*?)"', page)
    }
    assert f"{site.url}/crawls" in links
    assert refusal(site.daemon, path) == (404, "There is no such page.\n")


def test_rejected_records_are_counted_by_reason(site):
    html = site.daemon.open("rejected")
    [link] = re.findall(r'<a href="(rejected\?reason=[^"]*)"', html)
    assert "1 by reason" in html
    chosen = unescape(site.daemon.open(unescape(link)))
    assert "<strong>Reason:</strong> Object missing required field" in chosen
    assert "Every record that the API sent to it became a row" in site.daemon.open(
        "rejected?crawl=1"
    )


def test_rejected_record_is_shown_whole_and_escaped(site):
    text = "<i>" * 3000
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        [number] = connection.execute(
            "INSERT INTO rejected_record (reason, column_name, text) VALUES ('ath: no', 'ath', %s)"
            " RETURNING id", [text],
        ).fetchone()  # fmt: skip
        try:
            listed = site.daemon.open("rejected?reason=ath:%20no")
            alone = site.daemon.open(f"rejected?record={number}")
        finally:
            connection.execute("DELETE FROM rejected_record WHERE id = %s", [number])
    assert "stored without ath" in listed
    assert "The value as it came, 9,000 characters" in listed
    assert f'href="rejected?record={number}"' in listed
    assert "&lt;i&gt;" * 3000 not in listed
    assert "&lt;i&gt;" * 3000 in alone
    status, body = refusal(site.daemon, f"rejected?record={number}")
    assert status == 404
    assert "or no longer" in body


def test_state_is_told_in_a_line_and_among_the_crawls(site):
    assert "All is well" in site.daemon.open("")
    html = site.daemon.open("crawls")
    for text in ("No crawl at the moment", "17,000 records", "None among the latest"):
        assert text in html
    assert site.daemon.schedule()["next_time"][11:19] in html
    assert re.search(r"\d+ calls in the last minute", html)
    assert re.search(r"[1-9]\d* calls this month", html)


def button(html, name):
    """The fields of a form."""
    one = rf'<form class="button"(?:(?!</form>).)*aria-label="{name}".*?</form>'
    [form] = re.findall(one, html, re.DOTALL)
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


def test_buttons_pause_resume_run_cancel_and_run_again(scrapyd, database_url, sandbox):
    api = sandbox("--coins", 300, "--latency", 2).url
    daemon = scrapyd(NEW_YEAR, DATABASE_URL=database_url,
                     COINGECKO_BASE_URL=api)  # fmt: skip
    assert daemon.run(pages="2")
    wait_until(lambda: daemon.get("crawls.json?limit=1")["crawls"])

    def press(name, query=""):
        form = button(daemon.open(f"crawls{query}"), name)
        return daemon.open("crawls", form), form

    html, _ = press("Pause coins", "?outcome=running")
    assert "It is paused" in html
    assert "<option selected>running" in html, "back to the same place"
    wait_until(lambda: daemon.schedule()["paused"])
    press("Resume coins")
    wait_until(lambda: not daemon.schedule()["paused"])
    press("Cancel crawl 1")
    wait_until(lambda: daemon.get("crawls.json?limit=1")["crawls"][0]["outcome"] == "interrupted")
    press("Run coins now")
    wait_until(lambda: daemon.get("crawls.json?limit=1")["crawls"][0]["id"] == 2)
    press("Cancel the run of coins")
    wait_until(lambda: not daemon.schedule()["active"])
    _, form = press("Run crawl 1 again")
    wait_until(lambda: daemon.get("crawls.json?limit=1")["crawls"][0]["id"] == 3)
    assert daemon.get("crawls.json?limit=1")["crawls"][0]["arguments"] == {"pages": "2"}
    daemon.open("crawls", form)  # a second click on the same button
    assert daemon.get("listjobs.json?project=coinspider")["pending"] == []
    for fields, reason in (
        ({"action": "run", "schedule": "gone"}, "schedule 'gone' not found"),
        ({"action": "cancel", "job": "gone"}, "That job has ended already."),
        ({"action": "<b>", "back": "?a=1"}, "There is no action <b>"),
        ({"action": "again", "spider": "gone", "jobid": "x"}, "spider 'gone' not found"),
    ):
        status, body = refusal(daemon, "crawls", form | fields)
        assert status == 409
        assert reason in unescape(body)
        assert 'href="crawls' in body


def test_form_without_its_token_changes_nothing(site):
    form = button(site.daemon.open("crawls"), "Pause coins")
    own = {"Origin": site.url, "Sec-Fetch-Site": "same-origin"}
    status, line = refusal(site.daemon, "crawls", form | {"token": "guessed"}, own)
    assert status == 403
    status, page = refusal(site.daemon, "crawls", form | {"token": ""}, own | HTML)
    assert status == 403
    assert line.strip().lower() in page.lower()
    assert 'href="./crawls"' in page
    assert not site.daemon.schedule()["paused"]


def test_without_a_crawl_the_page_says_so(scrapyd, database_url):
    daemon = scrapyd(NEW_YEAR, DATABASE_URL=database_url)
    for path in ("coins", "coin?id=coin-0000007", "rejected"):
        status, body = refusal(daemon, path)
        assert status == 404
        assert "scrapy crawl coins" in body
    crawls = daemon.open("crawls")
    assert "None yet" in crawls
    assert button(crawls, "Run coins now")["schedule"] == "coins", "the page starts the first one"
    assert "Nothing was crawled yet" in daemon.open("")


def test_without_a_history_the_page_says_how_to_begin_one(scrapyd, scrapy, sandbox, database_url):
    done = scrapy(
        "crawl", "coins", COINGECKO_BASE_URL=sandbox("--coins", 3).url, HISTORY_ENABLED="0"
    )
    assert done.returncode == 0, done.stderr
    daemon = scrapyd(DATABASE_URL=database_url)
    assert "HISTORY_ENABLED=1" in daemon.open("coin?id=coin-0000001")
    assert "1–3 of 3 coins" in daemon.open("coins")


def test_error_for_a_missing_database_hides_the_password(scrapyd):
    daemon = scrapyd(DATABASE_URL="postgresql://me:hush@127.0.0.1:1/coins")
    for path in ("", "coins"):
        status, body = refusal(daemon, path)
        assert status == 503
        assert "The database coins on 127.0.0.1:1 can&#39;t be reached. Start PostgreSQL" in body
        assert "Connection refused" in body
        assert "hush" not in body + daemon.log.read_text()


def test_last_line_at_the_start_is_the_address_of_the_pages(scrapyd, database_url):
    daemon = scrapyd(DATABASE_URL=database_url)
    line = f"The pages are at {daemon.url}/"
    wait_until(lambda: line in daemon.log.read_text())
    [last] = [text for text in daemon.log.read_text().splitlines() if "[coinspider." in text][-1:]
    assert last.endswith(line)
