"""The crawls' database for scrapyd: its connections, the threads that wait for it, what its errors
mean to a client, and answers that are kept for some seconds.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from threading import Lock
from time import monotonic
from typing import Generic, ParamSpec, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from scrapy.utils.project import get_project_settings
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from twisted.python.threadable import isInIOThread
from twisted.python.threadpool import ThreadPool
from twisted.web.server import NOT_DONE_YET

from coinspider.daemon.protocols import WebRequest, reactor
from coinspider.errors import (
    ConfigurationError,
    DatabaseUnreachableError,
    NothingCrawledError,
    ViewError,
)
from coinspider.store.connection import (
    database_settings,
    one_line,
    open_connection,
    pin_transaction,
)
from coinspider.store.database_url import DatabaseSettings
from coinspider.store.embedded_server import stop_embedded_servers

log = Logger()
CONNECT_TIMEOUT, STATEMENT_TIMEOUT = 5, 10.0  # seconds
PAGE_THREADS, WHOLE_THREADS, FIGURE_THREADS, ENDPOINT_THREADS = 4, 1, 2, 4
WAITING_MAX, WHOLE_MAX = 100, 8
UNREAD_MAX = 256 << 20  # bytes
MEMORY_SIZE = 256  # answers
_IDLE_MAX = 30.0  # seconds
_AGAIN = "This page then comes by itself."
_START = f"Start PostgreSQL, or correct DATABASE_URL and start scrapyd again. {_AGAIN}"
_START_OWN = f"Start scrapyd again, which starts its PostgreSQL. {_AGAIN}"
_REMEDIES: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.QueryCanceled: "It took too long: ask for less, or try again.",
    psycopg.errors.InsufficientPrivilege: "GRANT the right to the user of DATABASE_URL.",
}
# Otherwise its locks would last until the server gives up on the client: two hours.
_BRIEF = "SET LOCAL idle_in_transaction_session_timeout = '5s'"
_starting = Lock()
_threads = cast(IReactorFromThreads, reactor)
P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """A pool of threads; simultaneous requests for the same thing are computed once."""

    def __init__(self, name: str, threads: int, most: int = WAITING_MAX):
        self._pool, self._most = ThreadPool(0, threads, name), most
        self._waiting: dict[Hashable, list[Deferred[object]]] = {}
        self._pool.start()
        reactor.addSystemEventTrigger("during", "shutdown", self._pool.stop)

    def run(
        self, key: Hashable, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """The function's result. Raises :exc:`ViewError` if too many wait already."""
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= self._most:
                raise ViewError(503, "Too many pages are requested at once: try again.")
            waiting = self._waiting[key] = []
            work = deferToThreadPool(_threads, self._pool, function, *args, **kwargs)
            work.addBoth(self._pass_on, key)
        result: Deferred[T] = Deferred()
        waiting.append(cast(Deferred[object], result))
        return result

    def _pass_on(self, result: object, key: Hashable) -> None:
        for waiting in self._waiting.pop(key):
            # From here on a failure is handled separately.
            waiting.callback(result)


unread: list[bytes] = []
"""The answers that clients have not read yet; those who asked for the same share its bytes."""


def unread_size() -> int:
    return sum(map(len, {id(body): body for body in unread}.values()))


def send_later(
    found: Deferred[T], txrequest: WebRequest, write: Callable[[T | Failure], bytes]
) -> int:
    """Answer a request with what ``write`` makes of the result, unless the client has gone.

    It is sent in pieces, as the client reads them, of bytes that all who wait for the same share.
    """

    def send(result: T | Failure) -> None:
        if txrequest.channel:
            body = write(result)
            unread.append(body)
            sent = FileSender().beginFileTransfer(BytesIO(body), txrequest)
            sent.addCallbacks(lambda _: txrequest.finish(), lambda _: None)
            sent.addBoth(lambda _: unread.remove(body))

    # If no answer can be made, the client must not wait for ever.
    found.addBoth(send).addErrback(txrequest.processingFailed)
    return NOT_DONE_YET


_workers = cache(Workers)


def page_workers(is_whole: bool = False) -> Workers:
    """A whole list takes half a gigabyte while it is made: one is at a time.

    Raises :exc:`ViewError` while clients are too slow to read what they have asked for.
    """
    if unread_size() > UNREAD_MAX:
        raise ViewError(503, "Too many answers wait for their readers: try again.")
    if is_whole:
        return _workers("lists", WHOLE_THREADS, WHOLE_MAX)
    return _workers("pages", PAGE_THREADS)


def figure_workers() -> Workers:
    """A separate pool, so that expensive pages never keep a monitor waiting."""
    return _workers("figures", FIGURE_THREADS)


def endpoint_workers() -> Workers:
    return _workers("endpoints", ENDPOINT_THREADS)


def in_thread(
    render: Callable[[object, WebRequest], bytes], workers: Callable[[], Workers] = endpoint_workers
) -> Callable[[object, WebRequest], int]:
    """An endpoint's ``render``, in a thread: an egg or a table that others lock may take long."""

    def body(result: bytes | Failure) -> bytes:
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def render_later(self: object, txrequest: WebRequest) -> int:
        found = maybeDeferred(workers().run, object(), render, self, txrequest)
        return send_later(found, txrequest, body)

    return render_later


def database() -> DatabaseSettings:
    """The crawls' database; an embedded server runs as long as this process."""
    # Otherwise threads would start the same server at the same time.
    with _starting:
        return _database()


@cache
def _database() -> DatabaseSettings:
    found = database_settings(get_project_settings())
    return found._replace(connect_timeout=CONNECT_TIMEOUT, statement_timeout=STATEMENT_TIMEOUT)


def database_url() -> str:
    return str(database().url)


class Availability:
    """Whether the database could be reached last, and why not.

    The reactor's thread never waits for a database that is known to be away.
    """

    def __init__(self) -> None:
        self.problem: str | None = None

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note whether the database is reached. Raises :exc:`DatabaseUnreachableError`."""
        if self.problem and isInIOThread():
            raise DatabaseUnreachableError(self.problem)
        try:
            yield
        except DatabaseUnreachableError as error:
            self.problem = str(error)
            raise
        self.problem = None


availability = Availability()


@contextmanager
def connection() -> Iterator[psycopg.Connection]:
    """A transaction with short time limits: no view should take minutes."""
    with availability.noted():
        connected = open_connection(database())
    with connected:
        pin_transaction(connected, database())
        yield connected


@contextmanager
def brief_transaction() -> Iterator[psycopg.Connection]:
    """Like :func:`connection`, for rows that others wait for: a lost client frees them."""
    with connection() as connected:
        connected.execute(_BRIEF)
        yield connected


def query(sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[DictRow]:
    """The rows of a query; none if no crawl of this version has made its table. For threads."""
    try:
        with connection() as connected:
            return connected.cursor(row_factory=dict_row).execute(sql, values).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return []


def release() -> None:
    """Stop the embedded server, unless others use it. A signal ends twistd, so no atexit runs."""
    if _database.cache_info().currsize:
        stop_embedded_servers()


class IdleConnections:
    """Connections that the next page may use; for threads.

    Opening one, and reading the tables' definitions again, takes longer than most pages.
    """

    def __init__(self, now: Callable[[], float] = monotonic):
        self._idle: list[tuple[float, psycopg.Connection]] = []
        self._lock, self._now = Lock(), now

    def take(self) -> psycopg.Connection | None:
        """The most recently used one, unless that was long ago."""
        self.close_old()
        with self._lock:
            return self._idle.pop()[1] if self._idle else None

    def keep(self, connection: psycopg.Connection) -> None:
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
            return
        with self._lock:
            self._idle.append((self._now() + _IDLE_MAX, connection))

    def close_old(self) -> None:
        with self._lock:
            old = [one for until, one in self._idle if until <= self._now()]
            self._idle = [kept for kept in self._idle if kept[0] > self._now()]
        for connection in old:
            connection.close()


_idle = IdleConnections()


@contextmanager
def page_connection() -> Iterator[psycopg.Connection]:
    """Like :func:`~coinspider.daemon.database.connection`, but possibly used by an earlier page."""
    connected = _begin()
    try:
        yield connected
        connected.commit()
    except BaseException:
        connected.close()
        raise
    _idle.keep(connected)
    # Idle ones are closed even if no other page is requested.
    reactor.callFromThread(reactor.callLater, _IDLE_MAX + 1, _idle.close_old)


def _begin() -> psycopg.Connection:
    if connected := _idle.take():
        try:
            pin_transaction(connected, database())
            return connected
        except psycopg.Error:  # the server has ended it
            connected.close()
    with availability.noted():
        connected = open_connection(database())
    pin_transaction(connected, database())
    return connected


def view_error(error: BaseException | None) -> ViewError:
    """What a page says instead of its content. Raises an error that is a mistake of ours."""
    match error:
        case ViewError():
            return error
        case NothingCrawledError():
            return ViewError(404, f"There is nothing to see: {error}")
        case ConfigurationError() | psycopg.DataError():
            return ViewError(400, str(error))
        case DatabaseUnreachableError():
            what, _, why = str(error).partition(": ")
            remedy = _START if get_project_settings().get("DATABASE_URL") else _START_OWN
            return _away(what, remedy, why.rpartition(" failed: ")[2])
        case psycopg.Error():
            remedies = (text for kind, text in _REMEDIES.items() if isinstance(error, kind))
            return _away("the database does not answer", next(remedies, _START), one_line(error))
    raise error or AssertionError


def _away(what: str, remedy: str, reason: str) -> ViewError:
    return ViewError(503, f"{what[:1].upper()}{what[1:]}. {remedy} ({reason or 'no reason told'})")


class Memory(Generic[T]):
    """Keeps the latest answers for some seconds; for threads."""

    def __init__(self, seconds: float, now: Callable[[], float] = monotonic):
        self.seconds, self._now = seconds, now
        self._kept: OrderedDict[object, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object, find: Callable[[], T]) -> T:
        """The answer for a key, computed again if it is too old; two threads may do so at once."""
        with self._lock:
            until, kept = self._kept.get(key, (0.0, None))
        if kept is not None and self._now() < until:
            return kept
        found = find()
        with self._lock:
            self._kept[key] = self._now() + self.seconds, found
            self._kept.move_to_end(key)
            if len(self._kept) > MEMORY_SIZE:
                self._kept.popitem(last=False)
        return found
