"""Every error that coinspider raises, as one tree.

::

    CoinspiderError
    ├── ConfigurationError          a setting or an argument is wrong (also a ValueError)
    │   ├── NothingCrawledError     no crawl has made the tables yet
    │   └── NoHistoryError          no history is kept
    ├── DatabaseError               the crawl's work in the database can't go on
    │   ├── DatabaseUnreachableError    no connection could be opened
    │   ├── DatabaseGoneError           it was away for longer than the crawl waits
    │   ├── LeaseLostError              another crawl of the same list took over
    │   └── CrawlRowError               the crawl's own row is gone
    ├── PageError                   a page's body is not what was asked for (also a ValueError)
    ├── CoercionError               a record can't become an item (also a ValueError)
    ├── RejectedRecordError         the same, as Scrapy is told (a DropItem)
    ├── ForbiddenLinkError          a link leads where the crawl may not go (an IgnoreRequest)
    ├── UntrustedCertificateError   a server does not prove who it is (an IgnoreRequest)
    ├── LargeHeadersError           an answer's headers have no end (an IgnoreRequest)
    ├── ProxyRefusedError           a proxy does not let the crawl through (an IgnoreRequest)
    ├── CrawlEndingError            the crawl ends while a request waits (an IgnoreRequest)
    ├── CreditsExhaustedError       the month's calls of a key are used up (an IgnoreRequest)
    ├── NoPageError                 no page came for longer than the crawl waits (an IgnoreRequest)
    ├── RequestDeniedError          the gate does not let a request in
    └── ViewError                   there is no page for a web request

Each message is one plain line that contains no password or key.
"""

from scrapy.exceptions import DropItem, IgnoreRequest


class CoinspiderError(Exception):
    """The base of all of them."""


class ConfigurationError(CoinspiderError, ValueError):
    """A setting or an argument is wrong; the message says which, and what is allowed."""


class NothingCrawledError(ConfigurationError):
    """The database has none of coinspider's tables yet."""


class NoHistoryError(ConfigurationError):
    """The database keeps no history; the message says how to begin one."""


class DatabaseError(CoinspiderError):
    """The crawl's work in the database can't go on; the message says why."""


class DatabaseUnreachableError(DatabaseError):
    """No connection could be opened; the message says where and why."""


class DatabaseGoneError(DatabaseError):
    """The database was away for too long; the message has its last error, ``sqlstate`` its code."""

    def __init__(self, message: str, sqlstate: str | None = None):
        super().__init__(message)
        self.sqlstate = sqlstate


class LeaseLostError(DatabaseError):
    """Another crawl of the same list took over while the database was away."""


class CrawlRowError(DatabaseError):
    """The row of a running crawl was deleted."""


class PageError(CoinspiderError, ValueError):
    """The body of a page is not a whole JSON array, or holds no records where they should be.

    ``retry_times`` is how often it may be requested again; ``None`` as after a status 500.
    """

    def __init__(self, message: str, retry_times: int | None = None):
        super().__init__(message)
        self.retry_times = retry_times


class CoercionError(CoinspiderError, ValueError):
    """A record can't become an item; the message is the reason."""


class RejectedRecordError(CoinspiderError, DropItem):
    """A record can't become an item; the message is the reason."""


class ForbiddenLinkError(CoinspiderError, IgnoreRequest):
    """A link leads where the crawl may not go; the message names both hosts."""


class UntrustedCertificateError(CoinspiderError, IgnoreRequest):
    """A server does not prove who it is; the message says what is wrong with its certificate."""


class LargeHeadersError(CoinspiderError, IgnoreRequest):
    """The headers of an answer are larger than any that mean something."""


class ProxyRefusedError(CoinspiderError, IgnoreRequest):
    """A proxy does not let the crawl through; the message names it, without its password."""


class CrawlEndingError(CoinspiderError, IgnoreRequest):
    """The crawl ends while a request waits for its turn."""


class CreditsExhaustedError(CoinspiderError, IgnoreRequest):
    """The month's calls of a key are used up; the message has the API's words."""


class NoPageError(CoinspiderError, IgnoreRequest):
    """No page came for longer than the crawl waits; the message says why."""


class RequestDeniedError(CoinspiderError):
    """The gate does not let a request in: its HTTP status, and one line for the client.

    ``retry_after`` is in seconds.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None):
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class ViewError(CoinspiderError):
    """There is no page for a request: the HTTP status, and one line for the client.

    ``page`` is shown in the place of the usual one of an error.
    """

    def __init__(self, status: int, message: str, page: str | None = None):
        super().__init__(message)
        self.status, self.page = status, page
