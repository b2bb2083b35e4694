"""What to do if a page did not come: retry, follow a redirect, or fail the crawl."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scrapy import Request, Spider
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import DownloadCancelledError, DownloadTimeoutError
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure
from w3lib.url import safe_url_string

from coinspider.crawl.failure import note_exhausted, note_failure
from coinspider.crawl.reasons import Reason, page_reason
from coinspider.errors import (
    CrawlEndingError,
    CreditsExhaustedError,
    ForbiddenLinkError,
    NoPageError,
    UntrustedCertificateError,
)
from coinspider.http.api_errors import explain_body, retry_after
from coinspider.http.api_key import without_secrets
from coinspider.http.links import check_link
from coinspider.http.pagination import AnsweredPage, PageRequest
from coinspider.http.retry import RETRY_REASON_META
from coinspider.text import visible

_URL_SHOWN = 300  # characters
# What makes a page too slow, or too large.
_SETTINGS: dict[type[BaseException], str] = {
    DownloadTimeoutError: "DOWNLOAD_TIMEOUT",
    DownloadCancelledError: "DOWNLOAD_MAXSIZE",
}
REDIRECTS = (301, 302, 303, 307, 308)


class PageFailures(Spider):
    """A spider that skips no page silently."""

    url: str
    api_key: str | None
    """What the API knows its user by: a token, a key or a name."""
    hosts_allowed: list[str]
    rewrites_links: bool
    pages_max: int

    def page_request(self, page: PageRequest, **options: Any) -> Request:
        raise NotImplementedError

    def may_be_past_the_end(self, page: PageRequest, status: int) -> bool:
        raise NotImplementedError

    def walk_on(self, page: AnsweredPage, request: Request) -> Iterable[Any]:
        raise NotImplementedError

    def page_failed(self, download_failure: Failure) -> Request | Iterable[Any] | None:
        request: Request = download_failure.request  # type: ignore[attr-defined]
        match error := download_failure.value:
            case CrawlEndingError():
                return None
            case ForbiddenLinkError():
                raise note_failure(self.crawler, Reason("forbidden_link", {"why": str(error)}))
            case CreditsExhaustedError():
                raise note_exhausted(self.crawler, str(error))
            case UntrustedCertificateError():
                raise self.page_failure(request, str(error), code="page_untrusted")
            case NoPageError():
                raise self.page_failure(request, str(error), code="page_refused")
            case HttpError(response=response):
                is_redirect = response.status in REDIRECTS and "Location" in response.headers
                handle = self.redirected if is_redirect else self.refused
                return handle(request, response)
        # Only a page that fails needs it.
        from coinspider.http.retry import explain_download, retry_times

        reason = explain_download(error, self.crawler.settings)
        setting = _SETTINGS.get(type(error)) if error else None
        return self.retry_or_fail(request, reason, retry_times(error), setting)

    def refused(self, request: Request, response: Response) -> Iterable[Any]:
        """A page past the end, if the strategy accepts it as one; else the crawl fails."""
        status, explanation = f"HTTP status {response.status}", self.explain(response)
        said = f"{status}, {explanation}" if explanation else status
        if wait := retry_after(response, datetime.now(UTC)):
            said += f", to ask again after {wait:.0f} s"
        page: PageRequest | None = request.cb_kwargs.get("page")
        if page is None or page.number == 1 or not self.may_be_past_the_end(page, response.status):
            advice = self.advice(response.status) if page and page.number == 1 else ""
            raise self.page_failure(request, said.rstrip(".") + advice, status=response.status)
        answered = AnsweredPage(page, response.url, {}, b"", (), error=said)
        if page.look_ahead:
            answered = replace(answered, look_ahead=page.look_ahead)
        return self.walk_on(answered, request)

    def advice(self, status: int) -> str:
        """Advice for when the first page is an error, to append to the message."""
        return ""

    def checked(self, link: str) -> str:
        """The URL to follow for a link; raises :exc:`ForbiddenLinkError` if there is none."""
        return check_link(link, self.url, self.hosts_allowed, self.rewrites_links)

    def without_secrets(self, text: str) -> str:
        """A text that may hold words of the API, without the key and the password."""
        secrets = (self.api_key, self.settings.get("API_PASSWORD"))
        return without_secrets(text, filter(None, secrets))

    def explain(self, response: Response) -> str:
        """The message of an error page, in a few words."""
        return visible(explain_body(response.body))

    def redirected(self, request: Request, response: Response) -> Request:
        """Follow a redirect if a link there would be followed.

        Scrapy's own middleware would carry a key in a header along to another host.
        """
        times = request.meta.get("redirect_times", 0) + 1
        if times > self.crawler.settings.getint("REDIRECT_MAX_TIMES"):
            raise self.page_failure(request, f"it was redirected {times} times")
        location = safe_url_string(response.headers["Location"] or b"")
        try:
            url = self.checked(response.urljoin(location))
        except ForbiddenLinkError as error:
            raise note_failure(
                self.crawler, Reason("forbidden_link", {"why": str(error)})
            ) from None
        page = request.cb_kwargs.get("page")
        following = self.page_request(replace(page or PageRequest(url), url=url), dont_filter=True)
        following.meta["redirect_times"] = times
        if page is None:
            return following.replace(callback=request.callback, cb_kwargs=request.cb_kwargs)
        return following.replace(callback=request.callback)

    def retry_or_fail(
        self,
        request: Request | None,
        reason: str,
        times: int | None = None,
        setting: str | None = None,
    ) -> Request:
        """A retry, as long as the request has one left (of ``times``, or of ``RETRY_TIMES``).

        ``setting`` is what would have to be larger for the page to come.
        """
        assert request
        most = self.crawler.settings.getint("RETRY_TIMES")
        retry = self.retry(request, reason, most if times is None else min(times, most))
        if retry is None:
            raise self.page_failure(request, reason, setting=setting)
        return retry

    def retry(self, request: Request, reason: str, times: int | None = None) -> Request | None:
        """The same request once more, bypassing Scrapy's cache, which has the doubtful response."""
        # Scrapy logs the reason unchanged, and names a stat after it. When it gives up, the
        # failure has a line of its own.
        shown = visible(self.without_secrets(reason))
        retry = get_retry_request(
            request, spider=self, reason=shown, max_retry_times=times, give_up_log_level="DEBUG"
        )
        if retry:
            retry.meta.update({"dont_cache": True, RETRY_REASON_META: shown})
        return retry

    def page_failure(
        self,
        request: Request,
        reason: str,
        status: int | None = None,
        code: str = "",
        setting: str | None = None,
    ) -> Exception:
        url = request.url
        short = url if len(url) <= _URL_SHOWN else f"{url[:_URL_SHOWN]}..."
        shown, why = self.without_secrets(short), self.without_secrets(reason)
        return note_failure(self.crawler, page_reason(shown, why, status, code, setting))
