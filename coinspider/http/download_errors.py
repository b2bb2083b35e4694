"""Why a page did not come, in a few words, if no server says so."""

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    NotSupported,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.settings import BaseSettings

# The next request would end in the same way.
_PERMANENT = (DownloadCancelledError, IgnoreRequest, NotSupported, UnsupportedURLSchemeError)
# A body that can't be decoded may come from one of several servers. What is likely to be cured by
# time, such as a lost connection, is in RETRY_EXCEPTIONS.
BROKEN_BODY_RETRY_TIMES = 2
# The packages by which Scrapy decodes a body; each has errors of its own.
_DECODERS = ("backports", "brotli", "brotlicffi", "compression", "gzip", "zlib", "zstandard")


def retry_times(error: BaseException | None) -> int:
    """How often it is worthwhile to ask again after an error that is not in
    ``RETRY_EXCEPTIONS``.
    """
    return 0 if isinstance(error, _PERMANENT) else BROKEN_BODY_RETRY_TIMES


def is_undecodable(error: BaseException | None) -> bool:
    """Whether a body is not in the ``Content-Encoding`` that its header names."""
    return type(error).__module__.partition(".")[0] in _DECODERS


def explain_download(error: BaseException | None, settings: BaseSettings) -> str:
    """An error of Scrapy's downloader in words; some have no message, or only a repr."""
    seconds, size = settings.getfloat("DOWNLOAD_TIMEOUT"), settings.getint("DOWNLOAD_MAXSIZE")
    words: dict[type, str] = {
        DownloadTimeoutError: f"it was not complete within DOWNLOAD_TIMEOUT={seconds:g} seconds",
        DownloadCancelledError: f"it is larger than DOWNLOAD_MAXSIZE={size} bytes",
        ResponseDataLossError: "the connection ended before the page was whole",
        DownloadFailedError: f"no answer came: {_reason(error)}",
        CannotResolveHostError: "no such host is known, or there is no network",
        DownloadConnectionRefusedError: "the connection was refused",
    }
    told = f"{type(error).__name__}: {_reason(error)}"
    if is_undecodable(error):
        return f"its body is not in the Content-Encoding of its header ({told})"
    return words.get(type(error)) or told


def _reason(error: BaseException | None) -> str:
    """Twisted keeps why no response came in a list of failures."""
    reasons = getattr(error and error.__cause__, "reasons", None)
    return str(reasons[-1].value) if reasons else str(error)
