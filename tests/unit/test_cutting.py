"""From a page's body to the texts of its records."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coinspider.errors import PageError
from coinspider.records.record import split_page

DEEP = b"[" * 50_000 + b"]" * 50_000
HALF_SURROGATE = rb'{"name": "\ud800"}'


def split(body: bytes) -> list[bytes]:
    return [bytes(text) for text in split_page(body)]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        pytest.param(b'[{"a": 1},{"b": 2}]', [b'{"a": 1}', b'{"b": 2}'], id="two objects"),
        pytest.param(b" [ 1 ,\n\t2\r\n] \n", [b"1", b"2"], id="white space around elements"),
        pytest.param(b"[21000000.0, 1e24]", [b"21000000.0", b"1e24"], id="numbers as written"),
        pytest.param(b"[[1, [2]], {}]", [b"[1, [2]]", b"{}"], id="nested arrays"),
        pytest.param(b"[]", [], id="empty list"),
        pytest.param(b"\n[ \t]\n", [], id="empty list with white space"),
    ],
)
def test_elements_are_cut_out_unchanged(body, texts):
    assert split(body) == texts


SPOILT = [
    pytest.param(b'{"price": NaN}', id="NaN"),
    pytest.param(b'{"price": -Infinity}', id="Infinity"),
    pytest.param(HALF_SURROGATE, id="half a surrogate pair"),
    pytest.param(DEEP, id="deep nesting"),
    pytest.param(b'{"deep": ' + DEEP + b"}", id="deep nesting in an object"),
    pytest.param(b'{"name": "\xff"}', id="not UTF-8"),
    pytest.param(b'{"name": "\x00"}', id="NUL"),
    pytest.param(b"{price: 1}", id="key without quotes"),
]


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_broken_element_leaves_the_others_whole(spoilt, place):
    texts = [b'{"id": "a", "roi": {"x": [1, 2]}}', b'{"id": "b"}']
    texts.insert(place, spoilt)
    assert split(b"[" + b" , ".join(texts) + b"]") == texts


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_broken_element_may_be_the_only_one(spoilt):
    assert split(b"[" + spoilt + b"]") == [spoilt]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[" * 300_000 + b"]" * 300_000, "cut short or broken"),
        (b"[" + b"NaN," * 200_001 + b"1]", "more than 200000 records on a page that is not JSON"),
    ],
    ids=["brackets", "records"],
)
def test_page_that_no_parser_takes_has_limits(body, why):
    with pytest.raises(PageError, match=why):
        split_page(body)


def test_white_space_around_an_array_with_a_broken_element_is_ignored():
    assert split(b"\r\n [NaN,\t1 ]\n") == [b"NaN", b"1"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(rb'"]"', id="closing bracket"),
        pytest.param(rb'"[{"', id="opening brackets"),
        pytest.param(rb'"},{"', id="comma between braces"),
        pytest.param(rb'"a,b,"', id="commas"),
        pytest.param(rb'"say \"],[\""', id="escaped quotes"),
        pytest.param(rb'"\\"', id="escaped backslash at the end"),
        pytest.param(rb'"\\\"]"', id="escaped backslash and quote"),
        pytest.param('"漢字]🚀,"'.encode(), id="non-ASCII"),
        pytest.param(b'"a\n]"', id="line break"),
        pytest.param(b'"a\\\n]"', id="escaped line break"),
    ],
)
def test_punctuation_in_a_string_does_not_cut_an_element(name):
    texts = [b'{"name": %s}' % name, b"NaN", name]
    assert split(b"[" + b",".join(texts) + b"]") == texts


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="white space"),
        pytest.param(b"<html><body>error code: 1015</body></html>", id="HTML"),
        pytest.param(b'{"status": {"error_code": 429}}', id="object"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"[]"', id="string"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"\xff\xfe[\x00]\x00", id="UTF-16"),
    ],
)
def test_anything_but_an_array_is_refused(body):
    with pytest.raises(PageError, match="not a JSON array"):
        split_page(body)


def test_the_reason_shows_how_the_body_begins():
    with pytest.raises(PageError, match="<html><body>error code: 1015"):
        split_page(b"<html><body>error code: 1015</body></html>" + b" " * 5000)


def test_the_reason_for_a_long_body_is_short():
    with pytest.raises(PageError) as caught:
        split_page(b"<" * 100_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("valid", [b"1", b"NaN"], ids=["valid elements", "spoilt element"])
@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(b"", id="after an element"),
        pytest.param(b",", id="after a comma"),
        pytest.param(b',{"id"', id="in a key"),
        pytest.param(b',{"id": "bit', id="in a string"),
        pytest.param(b',{"id": "bit]', id="in a string after a bracket"),
        pytest.param(b',{"id": "bit\\"]', id="in a string after an escaped quote"),
        pytest.param(b',"bit]', id="in a string of the array itself"),
        pytest.param(b',{"id": [1]', id="in an object"),
        pytest.param(b"]]", id="bracket too many"),
        pytest.param(b"] x", id="trailing text"),
        pytest.param(b"][2]", id="two arrays"),
        pytest.param(b"]\x00", id="trailing NUL"),
        pytest.param(b"]<html>", id="trailing HTML"),
    ],
)
def test_a_broken_array_is_refused_as_a_whole(valid, ending):
    with pytest.raises(PageError, match="cut short or broken"):
        split_page(b"[" + valid + ending)


def test_every_truncation_is_refused():
    body = rb'[{"id": "a", "name": "],[\"\\"}, {"price": NaN, "roi": {"x": [1]}}]'
    for length in range(len(body)):
        with pytest.raises(PageError):
            split_page(body[:length])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)


@settings(max_examples=50)
@given(
    st.lists(
        json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode()), max_size=4
    ),
    st.sampled_from([b"NaN", HALF_SURROGATE, b'{"a": Infinity}']),
)
def test_any_values_beside_a_broken_one_are_cut_out_whole(texts, spoilt):
    assert split(b"[" + b", ".join([*texts, spoilt]) + b"]") == [*texts, spoilt]
