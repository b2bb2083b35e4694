"""scrapyd's site behind the gate."""

import re
from collections import OrderedDict
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any, NoReturn, cast

from scrapyd.webservice import AddVersion, DeleteProject, WsResource
from twisted.internet import reactor
from twisted.internet.protocol import connectionDone
from twisted.web import error, http
from twisted.web.http import NO_CONTENT, RESPONSES, HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from coinspider._compat import WallClock, note_sent
from coinspider.daemon.gate.browsers import HEADERS, TxRequest, set_cors, set_headers
from coinspider.daemon.gate.clients import Tally
from coinspider.daemon.gate.gate import LOGIN, LOGOUT, Gate
from coinspider.daemon.gate.login import Denial, Login, Logout, Pages
from coinspider.errors import RequestDeniedError

LINGER = 2.0  # seconds in which a client may read that its body is too large
# Seconds until a request's headers, its body, and an egg have arrived.
HEAD_TIME, BODY_TIME, UPLOAD_TIME = 30.0, 60.0, 600.0
# In each minute a client has to read so many bytes of an answer.
READ_TIME, READ_LEAST = 60.0, 64 * 1024
CONNECTIONS_MAX = 1000
_CLOSED = "{number} connections that waited for their clients were closed to let others in: {most}"
_TOO_LARGE = 413
# A part of a file.
_RANGE = re.compile(rb"bytes=\d{1,18}-\d{0,18}")


class GateRequest(Request):
    """A request whose body is too large is answered before all of it has arrived."""

    body_size, body_max = 0, 0
    is_too_large = False
    form_session = ""

    def __init__(self, channel: Any, *args: Any, **options: Any):
        super().__init__(channel, *args, **options)
        self.site = channel.site  # Twisted sets it when all has arrived, and the gate asks before

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self.body_max = self._gate.options.body_max
        self._look_at_size(length or 0)

    def handleContentChunk(self, data: bytes) -> None:
        self.body_size += len(data)
        self._look_at_size(self.body_size)
        if not self.is_too_large:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self.is_too_large:
            self.channel.loseConnection()
        else:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        if self.path == b"*":  # otherwise it would be answered before the gate
            self.path = b"/*"
        # Twisted fails at some of the others; whoever sends one gets the whole file.
        # https://www.rfc-editor.org/rfc/rfc9110#section-14.2
        if not _RANGE.fullmatch(self.getHeader(b"range") or b""):
            self.requestHeaders.removeHeader(b"range")
        super().process()

    def write(self, data: bytes) -> None:
        if not self.startedWriting:
            set_cors(self._own, self._gate.origins.named_origin(self._own))
        super().write(data)

    @property
    def _own(self) -> TxRequest:
        """This, whose path is known by then."""
        return cast(TxRequest, self)

    @property
    def _gate(self) -> Gate:
        return cast("GateSite", self.site).gate

    def _look_at_size(self, size: int) -> None:
        if size <= self.body_max or self.is_too_large:
            return
        self.body_max = self._gate.body_max(self._own)
        if size > self.body_max:
            self.is_too_large = True
            self._deny_body()

    def _deny_body(self) -> None:
        # No client should be told to continue.
        self.requestHeaders.removeHeader("Expect")
        line = f"a body may have {self.body_max} bytes\n".encode()
        headers = HEADERS | {
            "Connection": "close",
            "Content-Type": "text/plain",
            "Content-Length": str(len(line)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        transport: Any = self.channel.transport
        status = b"HTTP/1.1 %d %s\r\n" % (_TOO_LARGE, RESPONSES[_TOO_LARGE])
        transport.write(status + head + b"\r\n" + line)
        clock: Any = reactor
        clock.callLater(LINGER, self.channel.loseConnection)


class GateChannel(HTTPChannel):
    """A connection, on which each request has to arrive, and its answer be read, within a time.

    Twisted's own time begins anew with each byte, and does not count for answers.
    """

    site: "GateSite"
    transport: Any
    _deadline: Any = None
    _read = 0

    def connectionMade(self) -> None:
        self.site.connections.opened += 1
        super().connectionMade()
        note_sent(self.transport, self._note_read)
        self._wait(HEAD_TIME)

    def allHeadersReceived(self) -> None:
        super().allHeadersReceived()
        is_upload = self.requests[-1].body_max > self.site.gate.options.body_max
        self._wait(UPLOAD_TIME if is_upload else BODY_TIME)

    def allContentReceived(self) -> None:
        self._wait(None)
        super().allContentReceived()

    def writeHeaders(self, *args: Any) -> None:
        super().writeHeaders(*args)
        self._wait(READ_TIME)

    def requestDone(self, request: Any) -> None:
        self._wait(HEAD_TIME)
        super().requestDone(request)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.site.connections.opened -= 1
        self._wait(None)
        super().connectionLost(reason)

    def _wait(self, seconds: float | None) -> None:
        """Wait for the client; with ``None`` it is the client who waits."""
        self.site.connections.waiting.pop(self, None)
        if self._deadline and self._deadline.active():
            self._deadline.cancel()
        if seconds is not None:
            self.site.connections.waiting[self] = None
            self._read = 0
            self._deadline = self.callLater(seconds, self._end_or_go_on)

    def _end_or_go_on(self) -> None:
        """Twisted has buffered all of an answer: a slow client may still read it."""
        if self._read >= READ_LEAST:
            self._wait(READ_TIME)
        else:
            self.timeoutConnection()

    def _note_read(self, size: int) -> None:
        self._read += size
        if self in self.site.connections.waiting:
            self.site.connections.waiting.move_to_end(self)


class Connections:
    """So many that crawls and the database have files left to open."""

    def __init__(self, most: int | None = None):
        allowed, _ = getrlimit(RLIMIT_NOFILE)
        self._most = most or min(CONNECTIONS_MAX, (allowed if allowed > 0 else 1 << 20) // 4)
        self.opened = 0
        self.waiting: OrderedDict[GateChannel, None] = OrderedDict()
        """Those whose clients have to send or to read, that which has not for longest first."""
        self._closed = Tally(reactor, _CLOSED)

    def has_room(self) -> bool:
        """Whether there may be another one, for which the first of those waiting is closed."""
        if self.opened < self._most:
            return True
        if not self.waiting:
            return False
        channel, _ = self.waiting.popitem(last=False)
        self._closed.note(getattr(channel.getPeer(), "host", "unix socket"))
        channel.transport.abortConnection()
        return True


class GateSite(Site):
    """All of scrapyd's resources, and the pages to log in and out."""

    requestFactory = GateRequest
    protocol: Any = GateChannel

    def __init__(self, root: Any, gate: Gate, pages: Pages):
        super().__init__(root, timeout=None, reactor=WallClock(reactor))
        self.gate, self.pages = gate, pages
        self.connections = Connections()
        if gate.credentials:
            root.putChild(LOGIN, Login(gate, pages))
            root.putChild(LOGOUT, Logout(gate))

    def buildProtocol(self, addr: Any) -> Any:
        return super().buildProtocol(addr) if self.connections.has_room() else None

    def getResourceFor(self, request: Any) -> Any:
        set_headers(request)
        try:
            self.gate.check(request)
        except RequestDeniedError as denial:
            request.site = self
            return Denial(denial, self.pages)
        return Preflight() if request.method == b"OPTIONS" else super().getResourceFor(request)


class Preflight(Resource):
    """Answers ``OPTIONS`` for all resources: some of scrapyd's would send their content."""

    isLeaf = True

    def render(self, txrequest: TxRequest) -> bytes:
        txrequest.setResponseCode(NO_CONTENT)
        return b""


class UploadsOff(WsResource):
    """Replaces ``addversion.json``, ``delversion.json`` and ``delproject.json``."""

    def render_POST(self, txrequest: Any) -> NoReturn:
        raise error.Error(http.FORBIDDEN, b"uploads are off: egg_upload in scrapyd.conf")


def turn_uploads_off(root: Any) -> None:
    """Under whatever names the services have them."""
    for name, resource in list(root.children.items()):
        if isinstance(resource, (AddVersion, DeleteProject)):
            root.putChild(name, UploadsOff(root))
