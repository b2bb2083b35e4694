"""``ALERT_URL``: where alerts go, and in what form."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError

TIMEOUT = 10  # seconds
FIELDS = ("status", "schedule", "title", "message", "text", "time", "host", "job", "crawl")
# Slack's own, for text: https://docs.slack.dev/messaging/formatting-message-text#escaping
ESCAPED = "_escaped"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Webhook(NamedTuple):
    """An address that takes JSON by POST, and the JSON with placeholders such as ``{message}``.

    Without a ``body`` all of :data:`FIELDS` are sent.
    """

    url: str
    token: str | None = None
    body: Any = None

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self | None:
        """``None`` without ``ALERT_URL``; :exc:`ConfigurationError` for what can't work."""
        url = settings.get("ALERT_URL")
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("ALERT_URL is not an address as https://host/path")
        return cls(url, settings.get("ALERT_TOKEN"), _body(settings.get("ALERT_BODY")))

    @property
    def host(self) -> str:
        """All of the address that may be shown: the rest of it is often a secret."""
        return urlsplit(self.url).hostname or ""

    def send(self, fields: Mapping[str, Any]) -> str | None:
        """Why it was not taken, without a secret in it, or ``None``. It blocks."""
        import requests

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        body = dict(fields) if self.body is None else _filled(self.body, fields)
        try:
            # The status says all; a body may be long, or never end.
            with requests.post(
                self.url, json=body, headers=headers, timeout=TIMEOUT, allow_redirects=False,
                stream=True,
            ) as answer:  # fmt: skip
                is_taken = answer.ok and not answer.is_redirect
                return None if is_taken else f"status {answer.status_code}"
        # Their own texts have the whole address in them.
        except requests.Timeout:
            return f"no answer within {TIMEOUT} seconds"
        except requests.exceptions.SSLError:
            return "its certificate is not trusted"
        except requests.ConnectionError:
            return "no connection"
        except requests.RequestException as error:
            return type(error).__name__


def _body(text: str | None) -> Any:
    if not text:
        return None
    try:
        body = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"ALERT_BODY is not JSON: {error}") from None
    known = {*FIELDS, *(field + ESCAPED for field in FIELDS)}
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            raise ConfigurationError(
                f"ALERT_BODY has {{{name}}}: there are {', '.join(FIELDS)},"
                f" and each of them with {ESCAPED} after it"
            )
    return body


def _filled(body: Any, fields: Mapping[str, Any]) -> Any:
    """The same JSON with each placeholder replaced, in texts alone."""
    if isinstance(body, dict):
        return {name: _filled(value, fields) for name, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, fields) for value in body]
    if not isinstance(body, str):
        return body
    return _PLACEHOLDER.sub(lambda found: _value(found[1], fields), body)


def _value(name: str, fields: Mapping[str, Any]) -> str:
    text = str(fields.get(name.removesuffix(ESCAPED)) or "")
    return html.escape(text, quote=False) if name.endswith(ESCAPED) else text
