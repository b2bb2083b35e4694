"""An API's key: where it goes, who may get it, and the account by which its calls are counted."""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.settings import BaseSettings
from w3lib.url import add_or_replace_parameter

from coinspider.errors import ConfigurationError
from coinspider.http.links import is_at_home, origin
from coinspider.secrets import is_secret_name, masked

_DIGITS = 8
_USUAL_PORTS = (80, 443)


def account_name(url: str, key: str | None) -> str:
    """``api.example key 1a2b3c4d``: the host, and a part of the key's hash.

    Calls without a key form one account, because most APIs count them by address.
    """
    _, host, port = origin(url)
    host = f"[{host}]" if ":" in host else host
    place = host if port in _USUAL_PORTS else f"{host}:{port}"
    if not key:
        return f"{place} without key"
    return f"{place} key {sha256(key.encode()).hexdigest()[:_DIGITS]}"


def key_in_headers(headers: Mapping[str, str]) -> str | None:
    """The key that somebody has put into a header, without the word ``Bearer`` before it."""
    for name, value in headers.items():
        if is_secret_name(name) and value.strip():
            return value.split()[-1]
    return None


# The key in a request's meta that allows the token in its query.
TOKEN_META = "api_token_allowed"  # noqa: S105
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The only headers, from DEFAULT_REQUEST_HEADERS or elsewhere, that another host gets.
HEADERS_FOR_OTHERS = (b"Accept", b"Accept-Language", b"Accept-Encoding", b"Content-Type")


def credential_headers(
    settings: BaseSettings, credential_setting: str = "API_TOKEN"
) -> dict[str, str]:
    """The header of the token, or of ``API_USERNAME`` and ``API_PASSWORD``.

    A token goes into ``Authorization`` after ``API_TOKEN_SCHEME`` (default ``Token``), or unchanged
    into the header ``API_TOKEN_HEADER``. No header if nothing is set, or if the token goes into the
    query (``API_TOKEN_PARAMETER``). Raises :exc:`ConfigurationError` if more than one kind is set.
    """
    token, user = settings.get(credential_setting), settings.get("API_USERNAME")
    header, parameter = settings.get("API_TOKEN_HEADER"), settings.get("API_TOKEN_PARAMETER")
    if token and user:
        raise ConfigurationError(f"set {credential_setting} or API_USERNAME, not both")
    if header and parameter:
        raise ConfigurationError("set API_TOKEN_HEADER or API_TOKEN_PARAMETER, not both")
    if header and not _HEADER.fullmatch(header):
        raise ConfigurationError(f"API_TOKEN_HEADER={header} is not the name of a header")
    if user:
        pair = f"{user}:{settings.get('API_PASSWORD') or ''}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    if not token or parameter:
        return {}
    scheme = settings.get("API_TOKEN_SCHEME") or ("" if header else "Token")
    return {header or "Authorization": f"{scheme} {token}".strip()}


class CacheStorage:
    """Scrapy's cache on disk (``HTTPCACHE_ENABLED=1``), which gets no credentials.

    What differs in a secret only is kept apart by a hash of it.
    """

    def __init__(self, settings: BaseSettings):
        # Late: few crawls have a cache.
        from scrapy.extensions.httpcache import FilesystemCacheStorage

        self._storage = FilesystemCacheStorage(settings)

    def open_spider(self, spider: Spider) -> None:
        self._storage.open_spider(spider)

    def close_spider(self, spider: Spider) -> None:
        self._storage.close_spider(spider)

    def retrieve_response(self, spider: Spider, request: Request) -> Response | None:
        found = self._storage.retrieve_response(spider, _without_credentials(request))
        return found and found.replace(url=request.url)

    def store_response(self, spider: Spider, request: Request, response: Response) -> None:
        kept = _without_credentials(request)
        headers = {k: v for k, v in response.headers.items() if k.lower() != b"set-cookie"}
        self._storage.store_response(spider, kept, response.replace(url=kept.url, headers=headers))


def _without_credentials(request: Request) -> Request:
    headers = {name: request.headers.getlist(name) for name in HEADERS_FOR_OTHERS}
    url, body = masked(request.url), masked(request.body.decode("utf-8", "replace"))
    if (url, body.encode()) != (request.url, request.body):
        digest = sha256(f"{request.url}\n".encode() + request.body).hexdigest()
        url = add_or_replace_parameter(url, "of", digest[:_DIGITS])
    return request.replace(url=url, body=body, headers=headers)


class OwnHostMiddleware:
    """Removes all headers that may be secret from requests to other hosts.

    It comes after Scrapy's own, which sets ``DEFAULT_REQUEST_HEADERS`` for any host.
    """

    def process_request(self, request: Request) -> None:
        if not is_at_home(request):
            for name in [name for name in request.headers if name not in HEADERS_FOR_OTHERS]:
                del request.headers[name]
