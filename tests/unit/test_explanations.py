"""What a body without records says."""

import gzip
import json

import pytest

from coinspider.http.api_errors import explain_body, is_error_object, read_error

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
    ("Etherscan", b'{"status": "0", "message": "NOTOK", "result": "Max rate"}', "Max rate"),
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
    ("deep", b"[" * 5000, "[" * 199 + "…"),
]


@pytest.mark.parametrize(("body", "words"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES])
def test_words(body, words):
    assert explain_body(body) == words


# What any API may send: the shape of an error, with a code and a message.
SHAPES = {
    "status": lambda code, words: {"status": {"error_code": code, "error_message": words}},
    "error.status": lambda code, words: {
        "error": {"status": {"error_code": code, "error_message": words}}
    },
    "code beside status": lambda code, words: {
        "error_code": code,
        "status": {"error_message": words},
    },
    "flat": lambda code, words: {"code": code, "msg": words},
    "code as text": lambda code, words: {"retCode": str(code), "retMsg": words, "result": {}},
    "error.code": lambda code, words: {"error": {"code": code, "message": words}},
    "list": lambda code, words: {"errors": [{"message": words}], "errcode": code},
    "err-msg": lambda code, words: {"status": "error", "err-code": code, "err-msg": words},
}


@pytest.mark.parametrize("code", [10002, 10005, 10006, 10010, 10011, 10012, 429])
@pytest.mark.parametrize("shape", SHAPES)
def test_code_and_words_are_read_in_every_shape(shape, code):
    body = json.dumps(SHAPES[shape](code, "Slow down, please"))
    for start in (b"", b"\xef\xbb\xbf"):
        assert read_error(start + body.encode()) == (code, "Slow down, please")


@pytest.mark.parametrize("body", [b'{"error": "no"}', b"no", b"<title>no</title>"])
def test_error_without_a_code(body):
    assert read_error(body) == (None, "no")


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
        (b'{"errorMessage": "x"}', True),
        (b'{"success": false, "data": null}', True),
        (b'{"status": "error", "err-msg": "x"}', True),
        (b'{"retCode": 10006, "retMsg": "Too many visits!", "result": {}}', True),
        (b'{"code": "429000", "msg": "Too many requests"}', True),
        (b'{"code": "200000", "msg": "", "data": {"items": []}}', False),
        (b'{"code": 0, "msg": "success", "data": null}', False),
        (b'{"code": "BTC", "description": "a record"}', False),
        (b'{"code": 7}', False),
        (b"[]", False),
        (b"<html>", False),
    ],
)
def test_error_objects(body, is_error):
    assert is_error_object(body) is is_error
