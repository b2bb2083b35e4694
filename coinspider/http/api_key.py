"""An API's key: where it goes, who may get it, and the account by which its calls are counted."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256

from scrapy import Request
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.http.links import is_at_home, origin

_DIGITS = 8
_SECRET_HEADER = re.compile("authorization|cookie|key|token|secret", re.IGNORECASE)
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
        if _SECRET_HEADER.search(name) and value.strip():
            return value.split()[-1]
    return None


# The key in a request's meta that allows the token in its query.
TOKEN_META = "api_token_allowed"  # noqa: S105
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Characters; anything shorter may be a part of any word.
_SHORTEST = 6
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


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """What an API says, for people: some repeat the key in their messages."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    return text


class OwnHostMiddleware:
    """Removes all headers that may be secret from requests to other hosts.

    It comes after Scrapy's own, which sets ``DEFAULT_REQUEST_HEADERS`` for any host.
    """

    def process_request(self, request: Request) -> None:
        if not is_at_home(request):
            for name in [name for name in request.headers if name not in HEADERS_FOR_OTHERS]:
                del request.headers[name]
