"""Paths in a JSON text; the texts that they find are unchanged."""

import pytest

from coinspider.errors import ConfigurationError
from coinspider.records.json_path import find, find_value, leaves, parse_path, path_text


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("", ()),
        ("results", ("results",)),
        ("data.items", ("data", "items")),
        ('data."the.items"', ("data", "the.items")),
        ("[1]", (1,)),
        ("rows[-1].id", ("rows", -1, "id")),
        ("@odata.nextLink", ("@odata", "nextLink")),
        ("Full Name", ("Full Name",)),
        ("page[after]", ("page[after]",)),
    ],
)
def test_paths_are_names_dots_and_indices(expression, path):
    assert parse_path(expression) == path


@pytest.mark.parametrize("path", [("a", "b"), (1,), ("a", -1, "b")])
def test_path_is_written_as_it_was_read(path):
    assert parse_path(path_text(path)) == path


@pytest.mark.parametrize("expression", ["a.", ".a", "a..b", "[", "a[0", 'a."b', "a[]"])
def test_anything_else_is_refused(expression):
    with pytest.raises(ConfigurationError, match="is not a path of names, dots and"):
        parse_path(expression)


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        pytest.param(b'{"a": 1.50}', "a", b"1.50", id="every digit"),
        pytest.param(b'{"a": {"b": [1, 2]}}', "a.b", b"[1, 2]", id="deep"),
        pytest.param(b'{"a": null}', "a", b"null", id="null"),
        pytest.param(b'{"a": 1}', "b", None, id="missing"),
        pytest.param(b'{"a": 1}', "a.b", None, id="not an object"),
        pytest.param(b"[1]", "a", None, id="a list"),
        pytest.param(b"[{}, [2.0]]", "[1]", b"[2.0]", id="an element"),
        pytest.param(b'{"a": [{"b": 1}, {"b": 2}]}', "a[-1].b", b"2", id="the last element"),
        pytest.param(b'{"a": [1]}', "a[1]", None, id="past the end"),
        pytest.param(b'{"@odata.nextLink": "x"}', "@odata.nextLink", b'"x"', id="a dot in a name"),
        pytest.param(b'{"a": {"b.c": {"d": 1}}}', "a.b.c.d", b"1", id="a dot in a name below"),
        pytest.param(b"<html>", "a", None, id="not JSON"),
        pytest.param(b'{"a": NaN, "b": [NaN, 1]}', "b", b"[NaN, 1]", id="a neighbour is not JSON"),
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


def test_leaves_are_all_values_but_objects_and_what_is_skipped():
    text = b'{"a": {"b": 1.0, "c": [1]}, "records": {"x": {"y": 2}}, "d": null}'
    found = {path: bytes(value) for path, value in leaves(text, skip=("records",))}
    assert found == {("a", "b"): b"1.0", ("a", "c"): b"[1]", ("d",): b"null"}
