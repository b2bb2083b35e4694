"""Other paginated APIs: the real process, and the sandbox's lists below ``/others``."""

from collections.abc import Callable

import pytest

from tests.helpers.processes import last_line, seen

COINS = 250


@pytest.fixture
def others(sandbox) -> Callable[..., str]:
    """Start a sandbox, and return the address of its other APIs."""

    def start(*options: object) -> str:
        return sandbox("--coins", COINS, *options).url.replace("/api/v3", "/others")

    return start


@pytest.mark.parametrize(
    ("path", "pagination"),
    [("drf", "next"), ("cursor", "cursor"), ("link", "link"), ("offset", "offset")],
)
def test_every_pagination_reaches_every_coin(scrapy, others, query, path, pagination):
    url = others()
    done = scrapy("crawl", "next", "-a", f"url={url}/{path}", "-a", f"pagination={pagination}")
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*), min(vs_currency) FROM full_coin") == [(COINS, "usd")]
    [price] = query("SELECT current_price::text FROM full_coin WHERE coin_id = 'coin-0000113'")
    assert price == ("0.00000000005275",)


def test_second_source_needs_only_an_item_and_a_spider(scrapy, others, query):
    done = scrapy("crawl", "assets", "-s", f"ASSETS_URL={others()}/assets",
                  "-s", "LOOKAHEAD_PAGES=1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*), max(rank) FROM asset") == [(COINS, COINS)]


def test_unknown_table_gets_its_columns_from_the_records(scrapy, others, query):
    url = others()
    arguments = ("crawl", "next", "-a", f"url={url}/drf", "-a", "table=mine")
    assert "250 new" in last_line(scrapy(*arguments))
    types = dict(query("SELECT column_name, data_type FROM information_schema.columns"
                       " WHERE table_name = 'mine'"))  # fmt: skip
    assert types["id"] == "text"
    assert types["current_price"] == "numeric"
    assert types["circulating_supply"] == "numeric"
    assert types["last_updated"] == "timestamp with time zone"
    shown = scrapy("table", "mine", "--where", "market_cap_rank <= 3", "--sort=-market_cap_rank",
                   "--columns", "id,market_cap_rank")  # fmt: skip
    assert [line.split(",")[1] for line in shown.stdout.splitlines()] == [
        "market_cap_rank", "3", "2", "1",
    ]  # fmt: skip
    assert len(scrapy("table", "mine").stdout.splitlines()) == COINS + 1
    assert scrapy("table", "--format", "table").stdout.split("mine")[1].split()[0] == f"{COINS}"
    unknown = scrapy("table", "mien")
    assert unknown.returncode == 2
    assert last_line(unknown) == (
        "coinspider: there is no table mien (did you mean mine?): there are crawl, mine,"
        " rejected_record"
    )
    assert "250 unchanged" in last_line(scrapy(*arguments))


def test_new_field_becomes_a_column(scrapy, sandbox, query, tmp_path):
    page = tmp_path / "page"
    for text in (
        '[{"id": "a", "price": "1.5"}]',
        '[{"id": "a", "price": "2.50", "on": "2026-01-31"}]',
    ):
        page.write_text(text)
        url = sandbox("--body", page).url
        done = scrapy(
            "crawl",
            "next",
            "-a",
            f"url={url}/coins/markets?vs_currency=usd",
            "-a",
            "table=mine",
            "-a",
            "pagination=none",
        )
        assert done.returncode == 0, done.stderr
    assert "New columns of mine: on date" in done.stderr
    assert query('SELECT price::text, "on"::text, extra::text FROM mine') == [
        ("2.50", "2026-01-31", "{}")
    ]


def test_no_database_is_needed(scrapy, others, tmp_path):
    feed = tmp_path / "mine.jsonl"
    done = scrapy("crawl", "next", "-a", f"url={others()}/drf", "-a", "table=mine", "-O", feed,
                  POSTGRES_ENABLED="0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(feed.read_text().splitlines()) == COINS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the API: -a url=https://..."),
        (["-a", "url=ftp://x/"], "wrong argument url=ftp://x/: allowed is http://... or https"),
        (
            ["-a", "url=http://x/", "-a", "pagination=magic"],
            "one of auto, next, link, cursor",
        ),
        (["-a", "url=http://x/", "-a", "records=a..b"], "a..b is not a path of names, dots and"),
        (["-a", "url=http://x/", "-a", "table=a;b"], "allowed is a name of a-z, 0-9 and _"),
    ],
)
def test_wrong_argument_stops_the_start_with_one_line(scrapy, arguments, message):
    done = scrapy("crawl", "next", "-L", "WARNING", *arguments)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert message in line


def test_records_without_the_key_fail_with_one_line(scrapy, others):
    done = scrapy("crawl", "next", "-a", f"url={others()}/drf", "-a", "table=mine",
                  "-a", "key=uuid")  # fmt: skip
    assert done.returncode == 1
    assert "the records have no key uuid: name it with -a key=NAME" in last_line(done)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"API_TOKEN": "t0psecret"}, id="Token"),
        pytest.param({"API_TOKEN": "t0psecret", "API_TOKEN_SCHEME": "Bearer"}, id="Bearer"),
        pytest.param({"API_USERNAME": "me", "API_PASSWORD": "t0psecret"}, id="Basic"),
        pytest.param({"API_TOKEN": "t0psecret", "API_TOKEN_PARAMETER": "token"}, id="query"),
    ],
)
def test_credentials_reach_the_api_and_nothing_else(scrapy, others, query, tmp_path, environment):
    url, feed = others("--token", "t0psecret"), tmp_path / "coins.json"
    done = scrapy("crawl", "next", "-L", "DEBUG", "-a", f"url={url}/drf", "-O", feed,
                  **environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "t0psecret" not in done.stderr + done.stdout + feed.read_text()
    assert "t0psecret" not in str(query("SELECT c::text FROM crawl c"))


def test_token_in_the_query_does_not_show_in_a_failure(scrapy):
    done = scrapy("crawl", "next", "-L", "DEBUG", "-a", "url=http://127.0.0.1:1/drf",
                  "-s", "RETRY_TIMES=1", "-s", "RETRY_BACKOFF=0.01",
                  API_TOKEN="t0p secret", API_TOKEN_PARAMETER="token")  # fmt: skip
    assert done.returncode == 1
    assert "page http://127.0.0.1:1/drf could not be fetched" in last_line(done)
    assert "t0p" not in done.stderr


def test_missing_credentials_fail_with_the_apis_message(scrapy, others):
    done = scrapy("crawl", "next", "-a", f"url={others('--token', 'x')}/drf")
    assert done.returncode == 1
    assert "Authentication credentials were not provided" in last_line(done)


@pytest.mark.parametrize("path", ["drf", "link"])
def test_link_to_another_host_is_not_followed_and_earlier_pages_are_stored(
    scrapy, others, query, path
):
    hostile = others()
    url = others("--links-to", hostile.removesuffix("/others"), "--token", "t0psecret")
    done = scrapy("crawl", "next", "-a", f"url={url}/{path}", "-a",
                  f"pagination={'next' if path == 'drf' else 'link'}",
                  API_TOKEN="t0psecret")  # fmt: skip
    assert done.returncode == 1
    assert url.removesuffix("/others") in last_line(done)
    assert hostile.removesuffix("/others").rpartition(":")[0] in last_line(done)
    assert seen(hostile) == []
    assert query("SELECT count(*) FROM full_coin") == [(100,)]


def test_redirect_on_the_same_host_is_followed_with_credentials(scrapy, others, query):
    url = others("--token", "t0psecret")
    done = scrapy("crawl", "next", "-a", f"url={url}/moved", API_TOKEN="t0psecret")
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*) FROM full_coin") == [(COINS,)]


def test_redirect_to_another_host_is_not_followed(scrapy, others):
    hostile = others()
    url = others("--links-to", hostile.removesuffix("/others"), "--token", "t0psecret")
    done = scrapy("crawl", "next", "-a", f"url={url}/moved", API_TOKEN="t0psecret")
    assert done.returncode == 1
    assert url.removesuffix("/others") in last_line(done)
    assert hostile.removesuffix("/others").rpartition(":")[0] in last_line(done)
    assert seen(hostile) == []


def test_allowed_host_is_followed_without_credentials(scrapy, others, query):
    other = others()
    url = others("--links-to", other.removesuffix("/others"), "--token", "t0psecret")
    done = scrapy("crawl", "next", "-a", f"url={url}/drf",
                  "-s", "PAGINATION_HOSTS_ALLOWED=127.0.0.1", API_TOKEN="t0psecret")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert query("SELECT count(*) FROM full_coin") == [(COINS,)]
    assert [call["token"] for call in seen(other)] == ["", ""]


def test_link_in_a_circle_fails_by_name(scrapy, sandbox, tmp_path):
    page = tmp_path / "page"
    page.write_text('{"next": "?vs_currency=usd&page=1", "results": [{"id": "a"}]}')
    url = f"{sandbox('--body', page).url}/coins/markets?vs_currency=usd"
    done = scrapy("crawl", "next", "-a", f"url={url}", "-a", "table=mine")
    assert done.returncode == 1
    assert "the list may go on: none of the usual parameters brings a second page" in last_line(
        done
    )
    assert "try -a" not in last_line(done), "that has just failed"


def test_list_without_end_fails(scrapy, others):
    done = scrapy("crawl", "next", "-a", f"url={others()}/drf", "-s", "PAGINATION_PAGES_MAX=2")
    assert done.returncode == 1
    assert "the list does not end within PAGINATION_PAGES_MAX=2 pages" in last_line(done)
