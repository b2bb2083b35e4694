"""scrapyd's site behind the gate."""

from typing import Any, NoReturn, cast

from scrapyd.webservice import AddVersion, DeleteProject, WsResource
from twisted.internet import reactor
from twisted.web import error, http
from twisted.web.http import RESPONSES
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from coinspider._compat import WallClock
from coinspider.daemon.gate.browsers import HEADERS, TxRequest, set_cors, set_headers
from coinspider.daemon.gate.gate import LOGIN, Gate
from coinspider.daemon.gate.login import Denial, Login, Logout, Pages
from coinspider.errors import RequestDeniedError

LINGER = 2.0  # seconds in which a client may read that its body is too large
WAITING_MAX = 50  # requests
_TOO_LARGE = 413


class GateRequest(Request):
    """A request whose body is too large is answered before all of it has arrived."""

    body_size, body_max = 0, 0
    is_too_large = False
    form_session = ""

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
        super().process()

    def write(self, data: bytes) -> None:
        if not self.startedWriting:
            set_cors(self._own, self._gate.origins.named_origin(self._own))
        super().write(data)

    @property
    def _own(self) -> TxRequest:
        """This, whose site and path are known by then."""
        return cast(TxRequest, self)

    @property
    def _gate(self) -> Gate:
        channel: Any = self.channel
        gate: Gate = channel.site.gate
        return gate

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


class GateSite(Site):
    """All of scrapyd's resources, and the pages to log in and out."""

    requestFactory = GateRequest

    def __init__(self, root: Any, gate: Gate, pages: Pages):
        super().__init__(root, reactor=WallClock(reactor))
        self.gate, self.pages = gate, pages
        self.waiting = 0
        if gate.credentials:
            root.putChild(LOGIN, Login(gate, pages))
            root.putChild(b"logout", Logout(gate))

    def getResourceFor(self, request: Any) -> Any:
        set_headers(request)
        try:
            self.gate.check(request)
        except RequestDeniedError as denial:
            request.site = self
            if denial.retry_after and self.waiting < WAITING_MAX:
                return Later(self, denial.retry_after)
            return Denial(denial, self.pages)
        return super().getResourceFor(request)


class Later(Resource):
    """Lets a request wait for its turn to try a password."""

    isLeaf = True

    def __init__(self, site: GateSite, seconds: float):
        super().__init__()
        self.site, self.seconds = site, seconds

    def render(self, request: Any) -> int:
        clock: Any = reactor
        call = clock.callLater(self.seconds, self._try_again, request)
        self.site.waiting += 1
        request.notifyFinish().addErrback(self._forget, call)
        return NOT_DONE_YET

    def _try_again(self, request: Any) -> None:
        self.site.waiting -= 1
        request.render(self.site.getResourceFor(request))

    def _forget(self, _: Any, call: Any) -> None:
        if call.active():
            self.site.waiting -= 1
            call.cancel()


class UploadsOff(WsResource):
    """Replaces ``addversion.json``, ``delversion.json`` and ``delproject.json``."""

    def render_POST(self, txrequest: Any) -> NoReturn:
        raise error.Error(http.FORBIDDEN, b"uploads are off: egg_upload in scrapyd.conf")


def turn_uploads_off(root: Any) -> None:
    """Under whatever names the services have them."""
    for name, resource in list(root.children.items()):
        if isinstance(resource, (AddVersion, DeleteProject)):
            root.putChild(name, UploadsOff(root))
