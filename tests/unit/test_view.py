"""What a page of the database sends."""

import pytest
from psycopg import OperationalError
from psycopg.errors import InsufficientPrivilege, QueryCanceled
from twisted.internet.defer import fail, succeed
from twisted.web.test.requesthelper import DummyRequest

from coinspider.daemon.database import view_error
from coinspider.daemon.views import coins, preferences, view
from coinspider.daemon.views.view import DatabaseView, Format, brief
from coinspider.errors import DatabaseUnreachableError


def broken(*_):
    raise LookupError("the template is gone")


def ask(answer):
    request = DummyRequest([b""])
    request.channel = object()
    request.failed, request.getCookie = [], lambda _: None
    request.processingFailed = request.failed.append
    DatabaseView(None, None, form=Format("text/html", error=broken)).respond(answer, request, {})
    return request


def test_page_is_sent():
    request = ask(succeed((200, "a page")))
    assert (b"".join(request.written), request.failed) == (b"a page", [])


def test_logos_are_loaded_only_after_a_click(monkeypatch):
    monkeypatch.setattr(view, "_POLICIES", ["img-src 'self'", "img-src https://images.example"])
    request = DummyRequest([b"coins"])
    cookies = {}
    request.getCookie = cookies.get

    def keep(_, name, value, *_options):
        cookies[name.encode()] = value.encode()

    monkeypatch.setattr(preferences, "set_cookie", keep)
    for asked, policy in (("", "img-src 'self'"), ("on", "img-src https://images.example"),
                          ("off", "img-src 'self'")):  # fmt: skip
        if asked:
            preferences.keep_preference(request, {"logos": asked})
        view.send_head(request, 200)
        assert request.responseHeaders.getRawHeaders("Content-Security-Policy")[-1] == policy


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (QueryCanceled("timeout"), "It took too long: ask for less, or try again. (timeout)"),
        (InsufficientPrivilege("denied"), "GRANT the right to the user of DATABASE_URL. (denied)"),
        (OperationalError("lost"), "The database does not answer. Start PostgreSQL"),
        (DatabaseUnreachableError("the disk is full"), "The disk is full. Start"),
    ],
)
def test_error_of_the_database_says_what_to_do(error, said):
    told = view_error(error)
    assert (told.status, said in str(told)) == (503, True)


def test_request_ends_even_if_the_error_page_can_not_be_made():
    request = ask(fail(ValueError("no page")))
    assert [failure.type for failure in request.failed] == [LookupError]


@pytest.mark.parametrize(
    ("address", "is_shown"),
    [
        ("https://images.example/1.png", True),
        ("http://images.example/1.png", False),
        ("https://tracker.example/1.png", False),
        ("https://images.example.tracker.example/1.png", False),
        ("https://images.example@tracker.example/1.png", False),
        ("https://me@images.example/1.png", False),
        ("javascript:alert(1)", False),
        ("https://[", False),
        (None, False),
    ],
)
def test_picture_is_loaded_only_from_a_host_that_is_named(monkeypatch, address, is_shown):
    monkeypatch.setattr(coins, "LOGO_HOSTS", ("images.example",))
    assert coins.logo_address(address) == (address if is_shown else None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("page http://127.0.0.1:9/coins?x=1: it is refused", "page 127.0.0.1:9: it is refused"),
        ("see https://me:pw@host/a,b.", "see host."),
        ("https://[::1]/x: no answer", "[::1]: no answer"),
        ("name the API: -a url=https://...", "name the API: -a url=https://..."),
        (f"https://a{':' * 100_000}x", "a" + ":" * 100_000 + "x"),
    ],
    ids=["page", "user", "address", "placeholder", "worst"],
)
def test_address_in_a_sentence_is_its_host(text, shown):
    assert brief(text) == shown
