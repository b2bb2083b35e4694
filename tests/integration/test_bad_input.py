"""Whatever the API sends, good records are stored and bad ones are rejected with a reason."""

import gzip
import re

import pytest

from coinspider.records.record import split_page
from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests.helpers.processes import last_line

RETRY_ONCE = ["-s", "RETRY_TIMES=1", "-s", "RETRY_BACKOFF=0.01"]
LONG = "x" * 10_000_000
# Each record with a part of the reason, or None if it is stored all the same.
RECORDS = {
    b'{"symbol":"x","name":"no id"}': "missing required field id",
    b'{"id":null,"symbol":"x","name":"y"}': "id: expected str, got null",
    b'{"id":"","symbol":"x","name":"y"}': "id: expected str of length >= 1",
    b'{"id":7,"symbol":"x","name":"y"}': "id: expected str, got int",
    b'{"id":"long key","symbol":"x","name":"y","id":"%s"}' % (b"k" * 900_000): "PostgreSQL",
    b'{"id":"rank","symbol":"x","name":"y","market_cap_rank":"first"}': "market_cap_rank",
    b'{"id":"price","symbol":"x","name":"y","current_price":"n/a"}': "current_price",
    b'{"id":"time","symbol":"x","name":"y","last_updated":"yesterday"}': "last_updated",
    b'{"id":"nan","symbol":"x","name":"y","current_price":NaN}': "malformed",
    b'{"id":"nul","symbol":"x","name":"N\\u0000L"}': "NUL",
    b'{"id":"bytes","symbol":"x","name":"\xff"}': "utf-8",
    b'{"id":"half","symbol":"x","name":"\\ud83d"}': "truncated",
    b'{"id":"deep","symbol":"x","name":"y","roi":'
    + b"[" * 49_000
    + b"]" * 49_000
    + b"}": "recursion",
    b'["not", "an object"]': "expected object",
    b"[[1, 2], [3]]": "expected object",
    b'"text"': "expected object",
    b"null": "expected object",
    b'{"id":"big","symbol":"x","name":"%s"}' % LONG.encode(): "more than the 1048576 of a record",
    # Valid JSON, but neither jsonb nor numeric can hold it: only the server finds out.
    b'{"id":"jsonb","symbol":"x","name":"y","roi":1e400000}': "PostgreSQL",
    b'{"id":"numeric","symbol":"x","name":"y","ath":1e200000}': "more than 1000 digits",
    b'{"id":"1e400","symbol":"x","name":"y","ath":1e400}': None,
    b'{"id":"old","id":"twice","symbol":"x","name":"y","name":"last"}': None,
}


def test_bad_records_of_every_kind_are_rejected(scrapy, sandbox, query, tmp_path):
    good = [made_up_coin(number).encode() for number in range(4)]
    texts = [*good[:2], *RECORDS, *good[2:], good[0]]
    page, again = tmp_path / "page", tmp_path / "again"
    page.write_bytes(b"[" + b",".join(texts) + b"]")
    again.write_bytes(b"[" + good[3] + b"," + made_up_coin(4).encode() + b"]")
    api = sandbox("--body", page, "--body", again)
    done = scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1",
                  "-s", "COERCION_STRICT_ENABLED=1", COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    stored = query("SELECT coin_id, name, ath::text FROM full_coin WHERE coin_id !~ '^coin-'"
                   " ORDER BY 1")  # fmt: skip
    assert stored == [("1e400", "y", "1" + "0" * 400), ("twice", "last", None)]
    assert query("SELECT coin_id FROM full_coin WHERE coin_id ~ '^coin-' ORDER BY 1") == [
        (coin_id(number),) for number in range(5)
    ]
    rejected = query("SELECT text, reason, source_url FROM rejected_record ORDER BY id")
    bad = {text: why for text, why in RECORDS.items() if why}
    assert f"{len(bad)} rejected" in last_line(done)
    assert len(rejected) == len(bad)
    assert all(url.startswith(api.url) for _, _, url in rejected)
    told = {text: reason for text, reason, _ in rejected}
    for text, why in bad.items():
        # What PostgreSQL refuses is no longer a record, but a row.
        key = text[:100_000].decode("utf-8", "backslashreplace")
        if why == "PostgreSQL":
            last_id = re.findall(rb'"id":"(\w{,9})', text)[-1].decode()
            [key] = [key for key in told if f'"id":"{last_id}' in key]
        assert why.lower() in told[key].lower(), key[:100]


def test_field_that_does_not_fit_costs_only_its_column(scrapy, sandbox, query, tmp_path):
    page = tmp_path / "page"
    fields = ['"current_price":"N/A"', '"ath_date":"","atl":NaN', '"symbol":null', '"ath":1.50']
    coins = [
        f'{{"id":"c{number}","symbol":"s","name":"n",{field}}}'
        for number, field in enumerate(fields)
    ]
    page.write_text(f"[{','.join(coins)}]")
    api = sandbox("--body", page)
    arguments = ["crawl", "coins", "-s", "REJECTED_SHARE_MAX=0.3"]
    done = scrapy(*arguments, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 0, done.stderr
    assert "3 new, 0 changed, 0 unchanged, 1 rejected" in last_line(done)
    assert "3 fields" in done.stderr
    assert query("SELECT coin_id, current_price, ath_date, atl, ath::text, extra::text"
                 " FROM full_coin ORDER BY 1") == [
        ("c0", None, None, None, None, '{"current_price": "N/A"}'),
        ("c1", None, None, None, None, '{"atl": "NaN", "ath_date": ""}'),
        ("c3", None, None, None, "1.50", "{}"),
    ]  # fmt: skip
    aside = query("SELECT column_name, text FROM rejected_record ORDER BY 1")
    assert aside == [
        ("ath_date", '""'), ("atl", "NaN"), ("current_price", '"N/A"'), (None, coins[2]),
    ]  # fmt: skip
    assert query("SELECT set_aside_count, rejected_count FROM crawl") == [(3, 1)]
    strict = scrapy(*arguments, "-s", "COERCION_STRICT_ENABLED=1", COINGECKO_BASE_URL=api.url)
    assert strict.returncode == 1
    assert "1 unchanged, 3 rejected" in last_line(strict)


def test_rejected_records_are_kept_up_to_a_limit_and_all_are_counted(
    scrapy, sandbox, query, tmp_path
):
    page = tmp_path / "page"
    page.write_text(f"[{made_up_coin(0)}{',{}' * 9}]")
    api = sandbox("--body", page)
    done = scrapy("crawl", "coins", "-s", "REJECTED_RECORD_MAX=4", "-s", "POSTGRES_BATCH_SIZE=3",
                  COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 1
    assert "more than REJECTED_SHARE_MAX=0.1 of the records were rejected" in last_line(done)
    assert "1 new, 0 changed, 0 unchanged, 9 rejected" in last_line(done)
    assert done.stderr.count("More than 4 records are rejected") == 1
    assert query("SELECT count(*), sum(times) FROM rejected_record") == [(1, 4)]
    assert query("SELECT rejected_count, outcome FROM crawl") == [(9, "failed")]
    assert query("SELECT count(*) FROM full_coin") == [(1,)]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html><body>Sorry</body></html>", "not a JSON array but '<html><body>Sorry"),
        (b"", "the body is empty"),
        (b'{"coins":[]}', "not a JSON array but"),
        (gzip.compress(made_up_coin(1).encode())[:-400], "not a JSON array but"),
    ],
    ids=["html", "empty", "object", "gzip unannounced"],
)
def test_error_for_a_body_that_is_not_a_page_shows_its_beginning(body, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        split_page(body)


def gzip_bomb():
    return gzip.compress(b" " * 200_000_000, 1)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (lambda: gzip.compress(f"[{made_up_coin(1)}]".encode() * 9)[:-400], "cut short"),
        (lambda: b"no gzip at all", "gzip"),
        (gzip_bomb, "exceeded DOWNLOAD_MAXSIZE"),
    ],
    ids=["cut", "broken", "bomb"],
)
def test_page_that_can_not_be_read_fails_the_crawl_by_name(scrapy, sandbox, tmp_path, body, why):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(gzip.compress(f"[{made_up_coin(0)}]".encode()))
    second.write_bytes(body())
    api = sandbox("--body", first, "--body", second, "--encoding", "gzip")
    done = scrapy("crawl", "coins", *RETRY_ONCE, COINGECKO_BASE_URL=api.url)
    assert done.returncode == 1
    assert "&page=2 could not be fetched" in last_line(done)
    assert why in last_line(done)
    assert "1 new, 0 changed" in last_line(done)
    memory = int(re.search(r"'memusage/max': (\d+)", done.stderr)[1])
    assert memory < 600_000_000
