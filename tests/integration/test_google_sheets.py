"""A feed to Google Sheets, tested with a stand-in of its documented API."""

from decimal import Decimal

import pytest

from coinspider.sandbox.served_coins import coin_id, made_up_coin
from tests.helpers.google_sheets import KEY, start_google_sheets
from tests.helpers.processes import last_line
from tests.helpers.stored import expected_row

SHEET = f"gsheets://{KEY}/My%20coins"


@pytest.fixture
def google():
    with start_google_sheets() as server:
        yield server


@pytest.fixture
def crawl(scrapy, google, tmp_path):
    key = google.write_key(tmp_path / "key.json")

    def run(api, *options, **environment):
        settings = {
            "COINGECKO_BASE_URL": api.url,
            "POSTGRES_ENABLED": "0",
            "GOOGLE_SHEETS_CREDENTIALS": str(key),
            "GOOGLE_SHEETS_URL": google.url,
        }
        return scrapy("crawl", "coins", *options, **settings | environment)

    return run


def test_sheet_has_every_row_and_digit_and_is_replaced(crawl, sandbox, google):
    api = sandbox("--coins", 4500)
    google.refusals = 1
    assert crawl(api, "-O", SHEET, "-a", "per_page=250").returncode == 0
    header, *rows = google.sheets["My coins"].rows
    assert len(rows) == 4500
    assert google.sheets["My coins"].frozen == 1
    price, key = header.index("current_price"), header.index("coin_id")
    found = {row[key]: row[price] for row in rows}
    for number in range(0, 4500, 50):
        expected = expected_row(made_up_coin(number), "usd")["current_price"]
        cell = found[coin_id(number)]
        if isinstance(cell, str):
            assert cell == "" if expected is None else Decimal(cell) == expected
        else:
            assert Decimal(str(cell)) == expected
    assert any(isinstance(cell, float) for cell in found.values())

    assert crawl(api, "-O", SHEET, "-a", "pages=1", "-a", "per_page=10").returncode == 0
    assert len(google.sheets["My coins"].cells) == 11


def test_rows_are_appended_only_under_the_same_header(crawl, sandbox, google):
    api = sandbox("--coins", 20)
    for _ in range(2):
        assert crawl(api, "-o", SHEET).returncode == 0
    assert len(google.sheets["My coins"].rows) == 41
    google.sheets["My coins"].cells[0][0] = "other"
    done = crawl(api, "-o", SHEET)
    assert done.returncode == 1
    assert "could not be written: its columns are other, vs_currency" in last_line(done)
    assert len(google.sheets["My coins"].rows) == 41


def test_text_stays_text(crawl, sandbox, google, tmp_path):
    page = tmp_path / "page"
    page.write_text('[{"id": "a", "symbol": "0012", "name": "=1+1", "market_cap": 1234567890123456,'
                    ' "ath_date": "2025-03-04T14:45:50.155Z", "current_price": 0.5}]')  # fmt: skip
    assert crawl(sandbox("--body", page), "-O", SHEET).returncode == 0
    header, row = google.sheets["My coins"].rows
    found = dict(zip(header, row, strict=True))
    assert (found["name"], found["symbol"]) == ("=1+1", "0012")
    assert (found["market_cap"], found["current_price"]) == ("1234567890123456", 0.5)
    assert found["ath_date"] == "2025-03-04 14:45:50.155"


@pytest.mark.parametrize(
    ("feed", "line"),
    [
        (SHEET, "share it with the service account"),
        ("gsheets://other/coins", "SpreadsheetNotFound"),
    ],
    ids=["not shared", "no such spreadsheet"],
)
def test_refusal_of_the_api_fails_the_crawl_in_its_last_line(crawl, sandbox, google, feed, line):
    google.shared = False
    done = crawl(sandbox("--coins", 5), "-O", feed)
    assert done.returncode == 1
    assert f"the feed {feed} could not be written: " in last_line(done)
    assert line in last_line(done)


@pytest.mark.parametrize(
    ("feed", "given", "line"),
    [
        (f"gsheets://{KEY}", {}, "does not name a sheet: gsheets://ID/SHEET"),
        (f"{SHEET}:csv", {}, "is gsheets"),
        (SHEET, {"GOOGLE_SHEETS_CREDENTIALS": "/nowhere"}, "GOOGLE_SHEETS_CREDENTIALS must be"),
        (SHEET, {"GOOGLE_SHEETS_CREDENTIALS": ""}, "GOOGLE_SHEETS_CREDENTIALS must be"),
        (SHEET, {"GOOGLE_SHEETS_CREDENTIALS": "README.md"}, "README.md can't be read as one"),
        (SHEET, {"GOOGLE_SHEETS_CREDENTIALS": "tests/data/coins_markets_eur_2025-03-04.json"},
         "json lacks client_email, private_key, token_uri"),
    ],
)  # fmt: skip
def test_wrong_address_or_key_stops_the_start(crawl, sandbox, feed, given, line):
    api = sandbox("--coins", 5)
    done = crawl(api, "-O", feed, **given)
    assert done.returncode == 2
    assert line in last_line(done)
    assert api.calls() == []
