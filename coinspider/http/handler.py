"""Scrapy's HTTP download handler with more authorities, and a token that nothing logs."""

import os
import re
import ssl
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from OpenSSL import SSL
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
)
from scrapy.http import Response
from scrapy.settings import BaseSettings
from service_identity import CertificateError, VerificationError
from twisted.web.iweb import IPolicyForHTTPS
from w3lib.url import add_or_replace_parameter
from zope.interface import implementer

from coinspider._compat import (
    client_tls_options,
    limit_headers,
    limit_proxy_headers,
    no_stack_search,
    replace_tls_policy,
)
from coinspider.errors import (
    CoinspiderError,
    ConfigurationError,
    LargeHeadersError,
    ProxyRefusedError,
    UntrustedCertificateError,
)
from coinspider.http.api_key import TOKEN_META
from coinspider.http.links import is_at_home, is_loopback, origin
from coinspider.http.retry import answer_or_end, wait_or_end


def check_ca_file(settings: BaseSettings) -> str | None:
    """``DOWNLOAD_CA_FILE``. Raises :exc:`ConfigurationError` if it has no certificate."""
    path: str | None = settings.get("DOWNLOAD_CA_FILE")
    if path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except ssl.SSLError:
            raise ConfigurationError(
                f"DOWNLOAD_CA_FILE={path} has no certificate in PEM form"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"DOWNLOAD_CA_FILE={path}: {error.strerror}") from None
    return path


_OWN_STORE = ("SSL_CERT_FILE", "SSL_CERT_DIR")
# What OpenSSL says of a handshake that failed, and what it means.
_TLS_PROBLEMS = {
    "certificate verify failed": (
        "its certificate is self-signed, expired, or from an unknown authority"
        " (DOWNLOAD_CA_FILE names one to trust)"
    ),
    "unsupported protocol": "it speaks only TLS 1.0 or 1.1, which are no longer safe",
    "alert protocol version": "it speaks no version of TLS that is still safe",
    "wrong version number": "it does not speak TLS on this port: is it http instead of https?",
}


class Authorities:
    """The authorities of the system, of Mozilla, and of a file.

    OpenSSL's ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` replace the first two.
    """

    def __init__(self, ca_file: str | None):
        self.ca_file = ca_file

    def __call__(self, context: SSL.Context) -> None:
        context.set_default_verify_paths()
        if not any(map(os.environ.get, _OWN_STORE)):
            import certifi  # only for an API with TLS

            context.load_verify_locations(certifi.where())
        if self.ca_file:
            context.load_verify_locations(self.ca_file)


@implementer(IPolicyForHTTPS)
class VerifyingPolicy:
    """Scrapy's policy with other authorities, which it reads once for each host."""

    def __init__(self, scrapys: Any, authorities: Authorities):
        self._scrapys, self._authorities = scrapys, authorities
        self._creators: dict[tuple[bytes, int], Any] = {}

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:  # noqa: N802
        known = self._creators.get((hostname, port))
        if not known:
            known = client_tls_options(self._scrapys, hostname.decode(), self._authorities)
            self._creators[hostname, port] = known
        return known


HEADERS_MAX = 128 * 1024  # bytes
_LARGE_HEADERS = f"its headers are larger than {HEADERS_MAX // 1024} kB"


def _refusal(error: BaseException | None) -> CoinspiderError | None:
    """Why an answer was not taken: its headers, or what is wrong with its server's certificate."""
    for reason in getattr(error, "reasons", ()):
        match reason.value:
            case CoinspiderError() as own:
                return own
            case VerificationError() | CertificateError():
                return UntrustedCertificateError("its certificate is for another name")
            case SSL.Error() as problem:
                said = [words for part, words in _TLS_PROBLEMS.items() if part in str(problem)]
                return UntrustedCertificateError(said[0]) if said else None
    return None


class Proxy(NamedTuple):
    """The proxy of a request, as the environment names it."""

    place: str
    """Host and port, without its user and password."""
    variable: str
    is_http: bool

    def __str__(self) -> str:
        return f"the proxy {self.place}, which {self.variable} names"

    def refused(self, status: str | None) -> Exception:
        """The error if it does not open a tunnel; one that may pass is retried."""
        if status == "407":
            return ProxyRefusedError(f"{self}, wants another user and password")
        if status and not status.startswith("5"):
            return ProxyRefusedError(f"{self}, refuses the connection: HTTP status {status}")
        answer = f"HTTP status {status}" if status else "nothing that an HTTP proxy says"
        return DownloadFailedError(f"{self}, answers {answer}")


def proxy_of(request: Request) -> Proxy | None:
    """The proxy that a request goes through; one to this machine itself goes through none."""
    if not (url := request.meta.get("proxy")):
        return None
    scheme, host, _ = origin(request.url)
    if is_loopback(host):
        request.meta["proxy"] = None
        request.headers.pop("Proxy-Authorization", None)
        return None
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return Proxy(place, f"{scheme.upper()}_PROXY", parts.scheme in ("http", "https", ""))


_PROXY_PASSWORD = 407

# Without the slowest part of its import.
with no_stack_search():
    from scrapy.core.downloader.handlers import http11
limit_proxy_headers(http11, HEADERS_MAX)


class HTTP11DownloadHandler(http11.HTTP11DownloadHandler):
    """Also trusts the authorities of ``DOWNLOAD_CA_FILE``, and takes no endless headers."""

    def __init__(self, crawler: Crawler):
        super().__init__(crawler)
        limit_headers(self, HEADERS_MAX, partial(LargeHeadersError, _LARGE_HEADERS))
        if crawler.settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
            authorities = Authorities(check_ca_file(crawler.settings))
            replace_tls_policy(self, partial(VerifyingPolicy, authorities=authorities))

    async def download_request(self, request: Request) -> Response:
        proxy = proxy_of(request)
        if proxy and not proxy.is_http:
            raise ProxyRefusedError(f"{proxy}, is no HTTP proxy: only http://HOST:PORT can be used")
        try:
            await wait_or_end(self._crawler, 0)  # it may have waited in Scrapy's queue
            response = await answer_or_end(self._crawler, super().download_request(request))
        except DownloadFailedError as error:
            if refusal := _refusal(error.__cause__):
                raise refusal from None
            raise _with_proxy(error, proxy) from error.__cause__
        except http11.TunnelError as error:
            assert proxy
            status = re.search(r"'status': (\d{3})", str(error))
            raise proxy.refused(status[1] if status else None) from None
        except (CannotResolveHostError, DownloadConnectionRefusedError) as error:
            raise _with_proxy(error, proxy) from error.__cause__
        if proxy and response.status == _PROXY_PASSWORD:
            raise proxy.refused(str(response.status))
        return response


def _with_proxy(error: Exception, proxy: Proxy | None) -> Exception:
    """The same error, with a note of the proxy that may be its cause."""
    if proxy:
        error.add_note(f"through {proxy}")
    return error


class TokenParameterDownloadHandler(HTTP11DownloadHandler):
    """Adds the API's token to the query as ``API_TOKEN_PARAMETER``, at the last moment.

    The rest of the crawl sees and logs requests and responses without it.
    """

    def __init__(self, crawler: Crawler):
        super().__init__(crawler)
        self.parameter = crawler.settings.get("API_TOKEN_PARAMETER")
        credential_setting = getattr(crawler.spider, "credential_setting", "API_TOKEN")
        self.token = crawler.settings.get(credential_setting)

    async def download_request(self, request: Request) -> Response:
        if not self.token or not request.meta.get(TOKEN_META) or not is_at_home(request):
            return await super().download_request(request)
        url = add_or_replace_parameter(request.url, self.parameter, self.token)
        sent = request.replace(url=url)
        try:
            response = await super().download_request(sent)
        except Exception as error:
            error.args = tuple(str(arg).replace(url, request.url) for arg in error.args)
            raise
        # Scrapy expects the latency and other facts in the request that it knows.
        request.meta.update(sent.meta)
        return response.replace(url=request.url)
