"""What follows a page that did not come: it is asked for again, passed over, or fails the crawl."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.exceptions import CloseSpider, DownloadCancelledError, DownloadTimeoutError
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure
from w3lib.url import safe_url_string

from coinspider.crawl.outcome import note_exhausted, note_failure
from coinspider.crawl.reasons import Reason, page_reason
from coinspider.crawl.walk import Again
from coinspider.errors import (
    CrawlEndingError,
    CreditsExhaustedError,
    ForbiddenLinkError,
    NoPageError,
    UntrustedCertificateError,
)
from coinspider.http.api_errors import retry_after
from coinspider.http.api_key import TOKEN_META
from coinspider.http.links import HOME_META
from coinspider.http.pagination import AnsweredPage, PageRequest
from coinspider.http.retry import (
    ASKED_AGAIN_META,
    MOST_RETRIES_META,
    RETRY_REASON_META,
    explain_download,
    retry_times,
)
from coinspider.secrets import masked
from coinspider.text import visible

if TYPE_CHECKING:
    from coinspider.crawl.spider import PaginatedSpider

logger = logging.getLogger(__name__)
_URL_SHOWN = 300  # characters
# What makes a page too slow, or too large.
_SETTINGS: dict[type[BaseException], str] = {
    DownloadTimeoutError: "DOWNLOAD_TIMEOUT",
    DownloadCancelledError: "DOWNLOAD_MAXSIZE",
}
# How often the page after one that was given up is repeated: an API that has been failing for a
# minute goes on failing.
_NEXT_RETRY_TIMES = 2
# What a retry keeps of the request's meta.
_KEPT = (HOME_META, TOKEN_META, "redirected", MOST_RETRIES_META)
REDIRECTS = (301, 302, 303, 307, 308)


class FailedPages:
    """Makes the requests and the reasons that follow the failures of a spider's pages."""

    def __init__(self, spider: PaginatedSpider):
        self.spider = spider

    def answer(self, download_failure: Failure) -> Request | Iterable[Any] | None:
        """Retry a page that did not come, follow a redirect, or fail the crawl."""
        request: Request = download_failure.request  # type: ignore[attr-defined]
        match error := download_failure.value:
            case CrawlEndingError():
                return None
            case ForbiddenLinkError():
                raise self.ended_by(Reason("forbidden_link", {"why": str(error)}))
            case CreditsExhaustedError():
                raise note_exhausted(self.spider.crawler, str(error))
            case UntrustedCertificateError():
                raise self.failure(request, str(error), code="page_untrusted")
            case NoPageError():
                named = self.spider.limit_setting
                raise self.failure(request, str(error), code="page_refused", setting=named)
            case HttpError(response=response):
                is_redirect = response.status in REDIRECTS and "Location" in response.headers
                handle = self._redirected if is_redirect else self._refused
                return handle(request, response)
        reason = explain_download(error, self.spider.crawler.settings)
        setting = _SETTINGS.get(type(error)) if error else None
        return self.retry(request, reason, retry_times(error), setting)

    def _refused(self, request: Request, response: Response) -> Iterable[Any]:
        """A page past the end, if the strategy accepts it as one; else the crawl fails."""
        status, explanation = f"HTTP status {response.status}", self.spider.explain(response)
        said = f"{status}, {explanation}" if explanation else status
        if wait := retry_after(response, datetime.now(UTC)):
            said += f", to ask again after {wait:.0f} s"
        page: PageRequest | None = request.cb_kwargs.get("page")
        if page is None or not self.spider.walk.may_be_past_the_end(page, response.status):
            advice = self.spider.advice(response.status) if page and page.number == 1 else ""
            why = said.rstrip(".") + advice
            setting = self._setting_of(response.status)
            reason = page_reason(request.url, why, response.status, setting=setting)
            return self._give_up(request, reason)
        answered = AnsweredPage(page, response.url, {}, b"", (), error=said)
        if page.look_ahead:
            answered = replace(answered, look_ahead=page.look_ahead)
        return self.spider.walk_on(answered)

    def _setting_of(self, status: int) -> str | None:
        """The setting that may cure a status."""
        if status in (401, 403):
            return self.spider.key_setting
        return self.spider.limit_setting if status == 429 else None

    def _redirected(self, request: Request, response: Response) -> Request:
        """Follow a redirect if a link there would be followed.

        Scrapy's own middleware would carry a key in a header along to another host.
        """
        times = request.meta.get("redirected", 0) + 1
        if times > self.spider.crawler.settings.getint("REDIRECT_MAX_TIMES"):
            raise self.failure(request, f"it was redirected {times} times")
        try:
            location = response.urljoin(safe_url_string(response.headers["Location"] or b""))
        except ValueError as error:
            raise self.failure(request, f"it was redirected to no URL: {error}") from None
        url = self.spider.checked(location)
        page = request.cb_kwargs.get("page")
        return self.spider.page_request(
            replace(page or PageRequest(url), url=url),
            dont_filter=True,
            callback=request.callback,
            cb_kwargs=request.cb_kwargs if page is None else {"page": replace(page, url=url)},
            meta={"redirected": times},
        )

    def retry(
        self,
        request: Request | None,
        reason: str,
        times: int | None = None,
        setting: str | None = None,
    ) -> list[Request]:
        """A retry, as long as the request has one left (of ``times``, or of ``RETRY_TIMES``).

        After that the requests for the next page, if this one can be passed over. ``setting`` is
        what would have to be larger for the page to come.
        """
        assert request
        most = self.spider.crawler.settings.getint("RETRY_TIMES")
        most = min(
            most, request.meta.get(MOST_RETRIES_META, most), most if times is None else times
        )
        if times_asked(request) >= most:
            if self.spider.url_setting:
                reason += f"; its address is from {self.spider.url_setting}"
            return self._give_up(request, page_reason(request.url, reason, None, "", setting))
        kept = {name: request.meta[name] for name in _KEPT if name in request.meta}
        meta = kept | self._retry_meta(reason, times_asked(request) + 1)
        self.spider.request_made(request.url, meta)
        return [request.replace(meta=meta, dont_filter=True)]

    def failure(
        self,
        request: Request,
        reason: str,
        status: int | None = None,
        code: str = "",
        setting: str | None = None,
    ) -> Exception:
        return self.ended_by(page_reason(request.url, reason, status, code, setting))

    def _give_up(self, request: Request, reason: Reason) -> list[Request]:
        """Pass a page over, and return the requests for the next one; raise if it can't be."""
        page = request.cb_kwargs.get("page")
        if page is None or request.callback == self.spider.read_again:
            raise self.ended_by(reason)
        answer = self.spider.walk.pass_over(page, reason)
        if answer.failure:
            raise self.ended_by(reason)
        shown = visible(masked(reason.message))
        logger.error("%s", shown, extra={"spider": self.spider})
        meta = {MOST_RETRIES_META: _NEXT_RETRY_TIMES}
        return [self.spider.page_request(page, meta=meta) for page in answer.requests]

    def again(self, again: Again) -> Request:
        """A request of its own for a page that came: bypassing Scrapy's cache, which has it."""
        meta = {"dont_cache": True}
        if again.is_reading:
            return self.spider.page_request(
                again.page, callback=self.spider.read_again, dont_filter=True, meta=meta
            )
        meta |= self._retry_meta(again.why, again.times)
        return self.spider.page_request(again.page, dont_filter=True, meta=meta)

    def _retry_meta(self, reason: str, times: int) -> dict[str, Any]:
        """The meta of a retry, which has its own keys: Scrapy's are for its middlewares alone."""
        shown = visible(masked(reason))
        self.spider.crawler.stats.inc_value("retry/count")
        self.spider.crawler.stats.inc_value(f"retry/reason_count/{shown}")
        return {"dont_cache": True, ASKED_AGAIN_META: times, RETRY_REASON_META: shown}

    def ended_by(self, reason: Reason) -> CloseSpider:
        """Why the crawl fails, with a URL of a length that people read."""
        figures = dict(reason.figures)
        if len(url := masked(figures.get("url", ""))) > _URL_SHOWN:
            figures["url"] = f"{url[:_URL_SHOWN]}..."
        return note_failure(self.spider.crawler, Reason(reason.code, figures))


def times_asked(request: Request) -> int:
    """How often a request was repeated, by Scrapy or because of its body."""
    return int(max(request.meta.get(name, 0) for name in ("retry_times", ASKED_AGAIN_META)))
