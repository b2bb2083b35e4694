"""Why a page did not come, in a few words, if no server says so."""

from scrapy.exceptions import (
    DownloadCancelledError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from scrapy.settings import BaseSettings


def explain_download(error: BaseException | None, settings: BaseSettings) -> str:
    """An error of Scrapy's downloader in words; some have no message, or only a repr."""
    seconds, size = settings.getfloat("DOWNLOAD_TIMEOUT"), settings.getint("DOWNLOAD_MAXSIZE")
    words: dict[type, str] = {
        DownloadTimeoutError: f"it did not come whole within DOWNLOAD_TIMEOUT={seconds:g} seconds",
        DownloadCancelledError: f"it is larger than DOWNLOAD_MAXSIZE={size} bytes",
        ResponseDataLossError: "the connection ended before the page was whole",
        DownloadFailedError: f"no answer came: {_reason(error)}",
    }
    return words.get(type(error)) or f"{type(error).__name__}: {_reason(error)}"


def _reason(error: BaseException | None) -> str:
    """Twisted keeps why no response came in a list of failures."""
    reasons = getattr(error and error.__cause__, "reasons", None)
    return str(reasons[-1].value) if reasons else str(error)
