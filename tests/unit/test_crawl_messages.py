"""What the pages say of a crawl's message, and what they advise."""

import pytest

from coinspider.daemon.crawl_messages import remedy, told, told_figures

DONE = "20 pages, 5000 records, 0 new, 4000 changed, 1000 unchanged, 0 rejected"
PAGE = "page http://database.example/disk/rejected?page=401 could not be fetched: "


@pytest.mark.parametrize(
    ("message", "text", "figures"),
    [
        (f"the crawl is complete: {DONE}", "", True),
        (f"the crawl is complete: {DONE}; 12000 coins came late", "12,000 coins came late", True),
        (f"the crawl failed: a feed could not be written, see the log ({DONE})",
         "a feed could not be written, see the log", True),
        (f"the crawl was interrupted ({DONE})", "", True),
        (f"the crawl did not reach the last page: closespider ({DONE})",
         "the crawl did not reach the last page: closespider", True),
        ("the crawl finished: 3 items", "the crawl finished: 3 items", False),
        ("its process ended silently", "its process ended silently", False),
        ("1 page, 1 record, 1 new", "", True),
        ("HTTP status 5000, 2026-12-01 and port 15432 failed and 127.0.0.1:65535 are",
         "HTTP status 5000, 2026-12-01 and port 15432 failed and 127.0.0.1:65535 are", False),
        (None, "", False),
    ],
)  # fmt: skip
def test_message_is_separated_from_its_figures(message, text, figures):
    assert told(message) == text
    assert bool(told_figures(message)) == figures
    if DONE in (message or ""):
        assert told_figures(message).startswith("20 pages, 5,000 records, 0 new, 4,000 changed")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        (f"{PAGE}HTTP status 401, the key is wrong (COINGECKO_API_KEY is missing or wrong)",
         "COINGECKO_API_KEY"),
        (f"{PAGE}HTTP status 429, Throttled", "COINGECKO_RATE_LIMIT"),
        (f"{PAGE}no page in RATELIMIT_PAGE_TIMEOUT=600 seconds, the next call is 60 s away: x",
         "COINGECKO_RATE_LIMIT"),
        (f"{PAGE}HTTP status 503, the database is away", "could not be reached"),
        (f"{PAGE}HTTP status 404", "arguments"),
        (f"{PAGE}no answer came: Connection refused", "API could not be reached"),
        (f"{PAGE}it was not complete within DOWNLOAD_TIMEOUT=60 seconds", "raise DOWNLOAD_TIME"),
        (f"{PAGE}its certificate is not valid", "DOWNLOAD_CA_FILE"),
        ("page 1 was refused: 401, this is a Demo key on the Pro host", "COINGECKO_API_KEY"),
        ("the database me on h:5432 can't be reached: connection refused", "DATABASE_URL"),
        ("the database was away for longer than 60 s: Connection refused", "DATABASE_URL"),
        ('could not extend file "base/1/2": No space left on device', "disk of PostgreSQL"),
        ("4000 of the 17000 known coins are missing: more than DELISTED_SHARE_MAX=0.1 is taken for"
         " a fault of the API, and none is marked as delisted", "raise DELISTED_SHARE_MAX for"),
        ("2000 known coins did not come, more than DELISTING_CHECK_CALLS_MAX=5 calls can ask for:"
         " none is marked as delisted", "raise DELISTING_CHECK_CALLS_MAX for"),
        ("1900 records were rejected so far, more than REJECTED_SHARE_MAX=0.1 of all",
         "rejected records"),
        ("more than REJECTED_SHARE_MAX=0.1 of the records were rejected, see the log",
         "rejected records"),
        ("the list does not end within PAGINATION_PAGES_MAX=100 pages", "raise PAGINATION"),
        ("the list is incomplete: page 3 was empty", "next run tries again"),
        ("a link leads from http://a to http://b, which PAGINATION_HOSTS_ALLOWED does not name",
         "name it in PAGINATION_HOSTS_ALLOWED"),
        ("the feed s3://b/c could not be written: denied", "address of the feed"),
        ("the table full_coin is not coinspider's, as it has no column x", "Change the table"),
        ("another crawl of the same took over, as this one gave no sign of life", "went on"),
        ("the spider raised an exception, see the log", "Its log says more"),
    ],
)  # fmt: skip
def test_advice_is_about_the_reason_and_not_about_the_figures(reason, advice):
    assert advice in remedy(f"the crawl failed: {reason} ({DONE})")


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("no calls are left for this crawl: the month's calls are used up", "Wait"),
        ("its process ended silently", "end of its log"),
        ("signal 9 ended its process", "lack of memory"),
        ("it was told to stop before it began to crawl", "next run"),
        (None, "Its log says more"),
    ],
)
def test_advice_for_other_ends(message, advice):
    assert advice in remedy(message)
