"""Which failures a retry can cure, and what the crawl says about its waits."""

import zlib
from gzip import BadGzipFile
from types import SimpleNamespace

import pytest
from scrapy import Request, Spider
from scrapy.exceptions import (
    CannotResolveHostError,
    CloseSpider,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    IgnoreRequest,
    NotSupported,
    UnsupportedURLSchemeError,
)
from scrapy.http import Response
from scrapy.settings import Settings
from scrapy.spidermiddlewares.httperror import HttpError
from scrapy.utils.test import get_crawler

from coinspider.crawl.dispatch import PageMiddleware
from coinspider.crawl.failed_pages import FailedPages
from coinspider.crawl.progress import dot_in, fitting
from coinspider.http.pagination import PageNumber, PageRequest
from coinspider.http.retry import (
    ASKED_AGAIN_META,
    MOST_RETRIES_META,
    RETRY_REASON_META,
    BackoffRetryMiddleware,
    explain_download,
    retry_times,
)
from coinspider.spiders.next import NextSpider
from coinspider.stats import FAILURE_STAT

URL = "http://api.example"
NOT_ENCODED = "its body is not in the Content-Encoding of its header"


class UndecodableError(Exception):
    """As that of a decoder, which each package has of its own."""


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (DownloadCancelledError(), 0),
        (IgnoreRequest("a middleware"), 0),
        (NotSupported("gopher"), 0),
        (UnsupportedURLSchemeError("gopher"), 0),
        (UndecodableError("decoder failed"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_number_of_worthwhile_retries(error, times):
    assert retry_times(error) == times


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CannotResolveHostError(), "no such host is known, or there is no network"),
        (DownloadConnectionRefusedError(), "the connection was refused"),
        (DownloadCancelledError(), "it is larger than DOWNLOAD_MAXSIZE=8 bytes"),
        (UndecodableError("decoder failed"), "UndecodableError: decoder failed"),
        (
            BadGzipFile("no"),
            "its body is not in the Content-Encoding of its header (BadGzipFile: no)",
        ),
        (zlib.error("no"), "its body is not in the Content-Encoding of its header (error: no)"),
    ],
)
def test_words_for_an_error(error, words):
    assert explain_download(error, Settings({"DOWNLOAD_MAXSIZE": 8})) == words


NEEDED = ["page 3 of 68", "waiting 8 s for the limit"]
OTHERS = ["750 coins", "", "0 rejected", "9 s left"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_progress_has_no_character_that_the_terminal_lacks(encoding):
    line = fitting(NEEDED, OTHERS, 80, dot_in(encoding))
    assert line.encode(encoding)
    assert line.replace("|", "·") == fitting(NEEDED, OTHERS, 80)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (20, "page 3 of 68 · waiting 8 s for the limit"),
        (51, "page 3 of 68 · waiting 8 s for the limit"),
        (52, "page 3 of 68 · waiting 8 s for the limit · 750 coins"),
        (200, "page 3 of 68 · waiting 8 s for the limit · 750 coins · 0 rejected · 9 s left"),
    ],
)
def test_progress_leaves_out_parts_that_do_not_fit_except_the_wait(width, line):
    assert fitting(NEEDED, OTHERS, width) == line


REFUSED = DownloadConnectionRefusedError("no")


@pytest.mark.parametrize(
    ("error", "address", "answers", "meta", "most"),
    [
        (BadGzipFile("no"), "", 0, {}, 2),
        (OSError("the network is down"), "", 0, {}, 6),
        (REFUSED, "", 0, {}, 6),
        (REFUSED, "THINGS_URL", 0, {}, 3),
        (REFUSED, "THINGS_URL", 1, {}, 6),
        (REFUSED, "", 1, {MOST_RETRIES_META: 2}, 2),
    ],
    ids=["a body that can't be decoded", "another OSError", "the usual address", "the user's own",
         "one that has answered", "the page after one that was given up"],
)  # fmt: skip
def test_retries_of_the_middleware(error, address, answers, meta, most):
    """The first two are OSErrors, of which Scrapy knows one kind only."""
    crawler = get_crawler(settings_dict={"RETRY_TIMES": 6})
    crawler.spider = Spider("any")
    crawler.spider.crawler, crawler.spider.url_setting = crawler, address
    crawler.stats.set_value("response_received_count", answers)
    middleware = BackoffRetryMiddleware.from_crawler(crawler)
    request, times = Request(URL, meta=meta), 0
    while retry := middleware.process_exception(request, error):
        request, times = retry, times + 1
        assert retry.meta[RETRY_REASON_META]
    assert times == most


@pytest.mark.parametrize("location", ["http://[", "//[::1"])
def test_redirect_to_no_url_fails_the_crawl_with_one_line(location):
    crawler = get_crawler()
    answer = Response(URL, status=302, headers={"Location": location})
    failure = SimpleNamespace(request=Request(URL), value=HttpError(answer))
    with pytest.raises(CloseSpider):
        FailedPages(SimpleNamespace(crawler=crawler)).answer(failure)
    assert "it was redirected to no URL" in crawler.stats.get_value(FAILURE_STAT)


def test_page_after_one_that_was_given_up_is_repeated_twice():
    settings = {"RETRY_TIMES": 6, "SPIDER_MIDDLEWARES": {PageMiddleware: 2000}}
    crawler = get_crawler(NextSpider, settings)
    spider = NextSpider.from_crawler(crawler, url="http://api.example/list", pagination="page")
    spider.seen.close()
    crawler.spider = spider
    page = PageRequest("http://api.example/list", number=2, strategy=PageNumber())
    given_up = Request(page.url, cb_kwargs={"page": page}, meta={ASKED_AGAIN_META: 6})
    [following] = spider.failed_pages.retry(given_up, "HTTP status 500")
    assert following.url.endswith("page=3")
    for _ in range(2):
        [following] = spider.failed_pages.retry(following, "HTTP status 500")
    with pytest.raises(CloseSpider):
        spider.failed_pages.retry(following, "HTTP status 500")
