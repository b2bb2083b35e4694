"""Places in a JSON text; the texts there stay as they are."""

import pytest

from coinspider.errors import ConfigurationError, PageError
from coinspider.records.json_path import find, find_value, parse_path, split_records


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("", ()),
        ("results", ("results",)),
        ("data.items", ("data", "items")),
        ('data."the-items"', ("data", "the-items")),
    ],
)
def test_paths_are_names_and_dots(expression, path):
    assert parse_path(expression) == path


@pytest.mark.parametrize("expression", ["a[0]", "a[*].b", "a | b", "length(a)", "a.", "[", "a b"])
def test_what_else_jmespath_can_do_is_refused(expression):
    with pytest.raises(ConfigurationError, match="is not a path of names and dots"):
        parse_path(expression)


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        pytest.param(b'{"a": 1.50}', "a", b"1.50", id="every digit"),
        pytest.param(b'{"a": {"b": [1, 2]}}', "a.b", b"[1, 2]", id="deep"),
        pytest.param(b'{"a": null}', "a", b"null", id="null"),
        pytest.param(b'{"a": 1}', "b", None, id="missing"),
        pytest.param(b'{"a": 1}', "a.b", None, id="no object"),
        pytest.param(b"[1]", "a", None, id="a list"),
        pytest.param(b"<html>", "a", None, id="no JSON"),
        pytest.param(b'{"a": NaN, "b": [NaN, 1]}', "b", b"[NaN, 1]", id="a neighbour is no JSON"),
        pytest.param(b'{"a":"},{", "b": [NaN]}', "b", b"[NaN]", id="brackets in a string"),
    ],
)
def test_find(text, path, found):
    result = find(text, parse_path(path))
    assert (result if result is None else bytes(result)) == found


@pytest.mark.parametrize(
    ("text", "value"),
    [(b'{"a": "x"}', "x"), (b'{"a": null}', None), (b"{}", None), (b'{"a": NaN, "b": NaN}', None)],
)
def test_find_value(text, value):
    assert find_value(text, ("a",)) == value


def test_records_are_at_the_path_or_the_bare_list():
    assert [bytes(t) for t in split_records(b'{"results": [{"a": 1.0}]}', ("results",))] == [
        b'{"a": 1.0}'
    ]
    assert [bytes(t) for t in split_records(b' [{"a": 1.0}]', ("results",))] == [b'{"a": 1.0}']


@pytest.mark.parametrize("body", [b"{}", b"", b"<html>", b'{"results": {}}', b'{"results": [1'])
def test_page_without_records_is_an_error(body):
    with pytest.raises(PageError):
        split_records(body, ("results",))
