"""What becomes of a page that did not come: another try, another place, or the crawl's failure."""

from typing import Any

from scrapy import Request, Spider
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure
from w3lib.url import safe_url_string

from coinspider.crawl.failure import note_exhausted, note_failure
from coinspider.errors import (
    CertificateRefusedError,
    CrawlEndingError,
    CreditsExhaustedError,
    LinkRefusedError,
    NoPageError,
)
from coinspider.http.links import check_link
from coinspider.text import visible

_URL_SHOWN = 300  # characters
REDIRECTS = (301, 302, 303, 307, 308)


class PageFailures(Spider):
    """A spider that skips no page silently."""

    url: str
    hosts_allowed: list[str]

    def page_request(self, url: str, meta: dict[str, Any] | None = None, **options: Any) -> Request:
        raise NotImplementedError

    def page_failed(self, download_failure: Failure) -> Request | None:
        request: Request = download_failure.request  # type: ignore[attr-defined]
        error = download_failure.value
        if isinstance(error, CrawlEndingError):
            return None
        if isinstance(error, LinkRefusedError):
            raise note_failure(self.crawler, "link_refused", str(error))
        if isinstance(error, CreditsExhaustedError):
            raise note_exhausted(self.crawler, str(error))
        if isinstance(error, (CertificateRefusedError, NoPageError)):
            raise self.page_failure(request, str(error))
        if not isinstance(error, HttpError):
            return self.retry_or_fail(request, f"{type(error).__name__}: {error}")
        if error.response.status in REDIRECTS and "Location" in error.response.headers:
            return self.redirected(request, error.response)
        status = f"HTTP status {error.response.status}"
        explanation = self.explain(error.response)
        raise self.page_failure(request, f"{status}, {explanation}" if explanation else status)

    def explain(self, response: Response) -> str:
        """What an error page says, in a few words."""
        return visible(" ".join(response.body[:200].decode("utf-8", "replace").split()))

    def redirected(self, request: Request, response: Response) -> Request:
        """Follow a redirect where a link would be followed.

        Scrapy's own middleware would carry a key in a header along to another host.
        """
        times = request.meta.get("redirect_times", 0) + 1
        if times > self.crawler.settings.getint("REDIRECT_MAX_TIMES"):
            raise self.page_failure(request, f"it was redirected {times} times")
        location = safe_url_string(response.headers["Location"] or b"")
        try:
            url = check_link(response.urljoin(location), self.url, self.hosts_allowed)
        except LinkRefusedError as error:
            raise note_failure(self.crawler, "link_refused", str(error)) from None
        return self.page_request(
            url,
            meta={"redirect_times": times},
            cb_kwargs=request.cb_kwargs,
            priority=request.priority,
            dont_filter=True,
        )

    def retry_or_fail(self, request: Request | None, reason: str) -> Request:
        """A retry, as long as the request has one left."""
        assert request
        retry = get_retry_request(request, spider=self, reason=reason)
        if retry is None:
            raise self.page_failure(request, reason)
        return retry

    def page_failure(self, request: Request, reason: str) -> Exception:
        url = request.url
        short = url if len(url) <= _URL_SHOWN else f"{url[:_URL_SHOWN]}..."
        message = f"page {short} could not be had: {reason}"
        return note_failure(self.crawler, "page_failed", message)
