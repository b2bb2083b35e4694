"""What a body without records says."""

import gzip

import pytest

from coinspider.http.api_errors import explain_body, is_error_object

HTML = (
    b"<!DOCTYPE html>\n<!--[if lt IE 7]> <html> <![endif]-->\n<head><style>p {}</style>"
    b"<title>Just a moment &amp; so on</title></head><body>x</body>"
)
BODIES = [
    ("Stripe", b'{"error": {"type": "x", "message": "No such customer"}}', "No such customer"),
    ("CoinGecko", b'{"status": {"error_code": 429, "error_message": "Slow down"}}', "Slow down"),
    ("Django REST Framework", b'{"detail": "Not found."}', "Not found."),
    ("FastAPI", b'{"detail": [{"loc": ["q"], "msg": "too large"}]}', "too large"),
    ("JSON:API", b'{"errors": [{"status": "404", "title": "Gone"}]}', "Gone"),
    ("GraphQL", b'{"errors": [{"message": "Bad field"}], "data": null}', "Bad field"),
    ("Etherscan", b'{"status": "0", "message": "NOTOK", "result": "Max rate"}', "NOTOK"),
    ("Kraken", b'{"error": ["EQuery:Unknown asset pair"]}', "EQuery:Unknown asset pair"),
    ("CoinCap", b'{"data": {"message": "We are deprecating this"}}', "We are deprecating this"),
    ("an HTML page", HTML, "Just a moment & so on"),
    ("an HTML page without a title", b"<html><!-- a --><p>Back <b>soon</b></p>", "Back soon"),
    ("a CDN's text", b"error code: 1015", "error code: 1015"),
    ("nothing to quote", b"{}", "{}"),
    (
        "Latin-1",
        "Zu viel f\xfcr heute".encode("latin-1"),
        "Zu viel f\ufffdr heute",
    ),
    ("nothing", b"", ""),
    ("deep", b"[" * 5000, "[" * 200),
]


@pytest.mark.parametrize(("body", "words"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES])
def test_words(body, words):
    assert explain_body(body) == words


@pytest.mark.parametrize("body", [gzip.compress(b"[]", mtime=0), b"\x9c\x80" * 50, b"\0\0"])
def test_bytes_are_not_shown_as_words(body):
    assert explain_body(body).startswith(f"bytes that are not text ({body[:8].hex(chr(32))}")


@pytest.mark.parametrize(
    ("body", "is_error"),
    [
        (b'{"error": "limit exceeded"}', True),
        (b'{"errors": [{"message": "x"}]}', True),
        (b'{"error": [], "result": {}}', False),
        (b'{"error": null, "data": []}', False),
        (b"[]", False),
        (b"<html>", False),
    ],
)
def test_error_objects(body, is_error):
    assert is_error_object(body) is is_error
