"""What may be a secret is not shown, and what is none stays readable."""

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest

from coinspider.secrets import hide, masked, masked_arguments


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/x", "https://***@host/x"),
        ("in: ftp://me:s3cret@127.0.0.1:9/x, and", "in: ftp://***@127.0.0.1:9/x, and"),
        ("s3://KEY:sec/ret@bucket/x.csv", "s3://***@bucket/x.csv"),
        ("ftp://me:12@host/", "ftp://***@host/"),
        ("FEEDS={'ftp://me:a@b@host/': 1}", "FEEDS={'ftp://***@host/': 1}"),
        ("https://host:8080/@name/x", "https://host:8080/@name/x"),
        ("http://[::1]:80/@x", "http://[::1]:80/@x"),
        ("https://host/?mail=me@host", "https://host/?mail=me@host"),
        ("'-a', 'headers=X-Key=abc,Accept=x'", "'-a', 'headers=X-Key=***,Accept=x'"),
        ("headers=Authorization=Bearer a-b-c,Accept=x", "headers=Authorization=***,Accept=x"),
        ("{b'Authorization': [b'Bearer abc']}", "{b'Authorization': [b'***']}"),
        ('{"X-Api-Key": "a\\"bc", "a": 1}', '{"X-Api-Key": "***", "a": 1}'),
        (r'{"body": "{\"api_key\": \"abc\"}"}', r'{"body": "{\"api_key\": \"***\"}"}'),
        ("parameters=api_key=abc,page_size=3", "parameters=api_key=***,page_size=3"),
        (
            "-s API_TOKEN=abc -s API_TOKEN_HEADER=X-Key",
            "-s API_TOKEN=*** -s API_TOKEN_HEADER=X-Key",
        ),
        ("https://host/?author=ann&authors=2", "https://host/?author=ann&authors=2"),
        ("gs://bucket/x?token=abc&a=1", "gs://bucket/x?token=***&a=1"),
        ("https://host/?api_key=abc", "https://host/?api_key=***"),
        ("https://host/?x_cg_demo_api_key=CG-1#a", "https://host/?x_cg_demo_api_key=***#a"),
        ("https://host/?a=1&apikey=abc and more", "https://host/?a=1&apikey=*** and more"),
        ("https://host/?key=abc", "https://host/?key=***"),
        ("https://host/?password=a&Signature=b", "https://host/?password=***&Signature=***"),
        ('{"X-Api-Key": "abc", "Accept": "json"}', '{"X-Api-Key": "***", "Accept": "json"}'),
        ('{"Authorization": "Bearer abc"}', '{"Authorization": "***"}'),
        ("https://host/?pageToken=abc", "https://host/?pageToken=abc"),
        ("https://host/?next_token=abc&page_key=b", "https://host/?next_token=abc&page_key=b"),
        ("https://host/?start_key=a", "https://host/?start_key=a"),
        ("https://host/?symbol=BTC&keys=1", "https://host/?symbol=BTC&keys=1"),
        ("key=symbol,exchange", "key=symbol,exchange"),
        ("me@example.com", "me@example.com"),
    ],
)
def test_masked(text, shown):
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("headers", "abc", "***"),
        ("headers", "Authorization: Bearer abc", "***"),
        ("headers", "Accept=x,abc", "***"),
        ("headers", '{"X-Api-Key": abc}', "***"),
        ("headers", "Accept=x,X-Api-Key=abc", "Accept=x,X-Api-Key=***"),
        ("parameters", "size=9", "size=9"),
        ("body", '{"token": "abc", "size": 9}', '{"token": "***", "size": 9}'),
        ("body", "token abc", "***"),
        ("table", "thing", "thing"),
        ("api_key", "abc", "***"),
        ("pages", 3, 3),
    ],
)
def test_argument_that_is_sent_is_shown_only_if_it_can_be_read(name, value, shown):
    assert masked_arguments({name: value}) == {name: shown}


KEYS = ["CG-s3cr3tKeyOf/9+x==", 'pass "word" & \\ more', "schlüssel-🚀-ключ", "s3cret~>?/~??>~>"]
FORMS = {
    "as it is": str,
    "in a URL": lambda key: quote(key, safe=""),
    "in a URL's path": lambda key: re.sub("%..", lambda found: found[0].lower(), quote(key)),
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in JSON with slashes escaped": lambda key: json.dumps(key).replace("/", "\\/"),
    "in JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "in HTML": html.escape,
    "in HTML by numbers": lambda key: "".join(
        f"&#{ord(char)};" if quote(char, safe="") != char else char for char in key
    ),
    "in Python": repr,
    **{
        f"in base64 after {before} bytes": lambda key, before=before: b64encode(
            b"Authorization"[:before] + key.encode() + b" me"
        ).decode()
        for before in range(4)
    },
    "in base64 for URLs": lambda key: urlsafe_b64encode(key.encode()).decode(),
    "in base64 in a URL": lambda key: quote(b64encode(key.encode()).decode(), safe=""),
    "in base64 in JSON": lambda key: b64encode(key.encode()).decode().replace("/", "\\/"),
}


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    monkeypatch.setattr("coinspider.secrets._known", set())


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_key_that_an_api_repeats_is_masked_in_each_form(key, form):
    written = FORMS[form](key)
    hide([key])
    shown = masked(f"what is {written}?")
    assert "***" in shown
    assert shown.startswith("what is ")
    # Quotes and backslashes; in base64, others and the characters of which a part is theirs.
    assert len(shown) - len("what is ***?") <= (14 if "base64" in form else 6), shown


def test_short_words_are_no_secrets():
    hide(["page"])
    assert masked("page 3 of 4") == "page 3 of 4"
