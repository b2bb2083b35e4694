"""The service account that writes to Google Sheets, and the client with its retries."""

import json
from pathlib import Path
from typing import Any

from coinspider.errors import ConfigurationError

_NEEDED = {"client_email", "private_key", "token_uri"}
# If a minute's quota is used up: wait for 1, 2, 4, ... seconds, or as Retry-After says.
RETRIES = 6
API = "https://sheets.googleapis.com"


def key_file(path: str | None) -> str:
    """The path, if it is that of a key. Raises :exc:`ConfigurationError`.

    Otherwise the crawl would end before anybody notices.
    """
    what = "the path of a service account's key, in JSON"
    if not path or not Path(path).is_file():
        raise ConfigurationError(f"GOOGLE_SHEETS_CREDENTIALS must be {what}")
    try:
        account = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"GOOGLE_SHEETS_CREDENTIALS must be {what}, and {path} can't be read as one:"
            f" {type(error).__name__}"
        ) from None
    missing = _NEEDED - account.keys() if isinstance(account, dict) else _NEEDED
    if missing:
        raise ConfigurationError(
            f"GOOGLE_SHEETS_CREDENTIALS must be {what}, and {path} lacks"
            f" {', '.join(sorted(missing))}"
        )
    return path


def http_client(api: str) -> type:
    """gspread's own client, with retries, and another address if one is set."""
    from gspread.http_client import HTTPClient
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    class Client(HTTPClient):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            # All requests here may be repeated safely.
            retry = Retry(
                RETRIES, backoff_factor=0.5, status_forcelist=[429, 500, 502, 503, 504],
                allowed_methods=None, raise_on_status=False,
            )  # fmt: skip
            for scheme in ("http://", "https://"):
                self.session.mount(scheme, HTTPAdapter(max_retries=retry))

        def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> Any:
            return super().request(method, endpoint.replace(API, api, 1), *args, **kwargs)

    return Client
