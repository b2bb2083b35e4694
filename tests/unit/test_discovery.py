"""Records of every shape, cut out of a body with every digit."""

import json
from contextlib import suppress

import pytest
from msgspec.structs import replace

from coinspider.errors import CoercionError, ConfigurationError, PageError
from coinspider.records.coercion import check_text
from coinspider.records.cutting import as_one_text, cut_records, parse_columns, parse_cut
from coinspider.records.discovery import find_cut, with_keys

PRICE = b"0.000000000000000000123456789012345678"


def cut(body: bytes, expression: str = "", **options) -> list[bytes]:
    return [bytes(text) for text in cut_records(body, replace(parse_cut(expression), **options))]


@pytest.mark.parametrize(
    ("expression", "body", "records"),
    [
        ("", b' [{"a": 1.0}]', [b'{"a": 1.0}']),
        ("results", b'{"results": [{"a": 1.0}]}', [b'{"a": 1.0}']),
        ("results", b'[{"a": 1.0}]', [b'{"a": 1.0}']),
        ("[1]", b'[{"page": 1}, [{"a": 1.0}]]', [b'{"a": 1.0}']),
        ("d.children[].data", b'{"d": {"children": [{"kind": "t", "data": {"a": 1.0}}]}}',
         [b'{"a":1.0}']),
        ("result.*", b'{"result": {"XBT": {"a": 1.0}, "ETH": {"a": 2.0}}}',
         [b'{"key":"XBT","a":1.0}', b'{"key":"ETH","a":2.0}']),
        ("*", b'{"bitcoin": 1.50}', [b'{"key":"bitcoin","value":1.50}']),
    ],
)  # fmt: skip
def test_records(expression, body, records):
    assert cut(body, expression) == records
    assert parse_cut(expression).expression() == expression


def test_arrays_get_names():
    body = b"[[1499040000000, " + PRICE + b', "x"]]'
    assert cut(body, names=("time", "price")) == [
        b'{"time":1499040000000,"price":' + PRICE + b',"c3":"x"}'
    ]


def test_columns_from_nested_fields_have_every_digit():
    body = b'[{"id": 1, "quote": {"USD": {"price": ' + PRICE + b"}}}]"
    [record] = cut(body, columns=parse_columns("price=quote.USD.price, none=quote.EUR.price"))
    assert record == b'{"id":1,"quote":{"USD": {"price": ' + PRICE + b'}},"price":' + PRICE + b"}"


@pytest.mark.parametrize("text", ["a", "a=", "=b"])
def test_columns_are_names_and_paths(text):
    with pytest.raises(ConfigurationError, match="allowed is NAME=PATH"):
        parse_columns(text)


@pytest.mark.parametrize(
    "body", [b"{}", b"", b"<html>", b'{"results": {}}', b'{"results": [1', b'{"results": null}']
)
def test_page_without_records_is_an_error(body):
    with pytest.raises(PageError):
        cut(body, "results")


@pytest.mark.parametrize(
    ("body", "records"),
    [(b"{}", []), (b'{"results": null}', []), (b'{"results": []}', []),
     (b'{"results": {"id": 1}}', [b'{"id": 1}'])],
)  # fmt: skip
def test_later_page_may_have_no_list_or_a_record_in_its_place(body, records):
    assert cut(body, "results", optional=True) == records


@pytest.mark.parametrize("word", ["error", "errors", "message", "detail"])
def test_error_object_is_not_a_page(word):
    with pytest.raises(PageError):
        cut(json.dumps({word: "limit exceeded"}).encode(), "results", optional=True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbf[1]", b"[1]"),
        ("[1]".encode("utf-16"), b"[1]"),
        (b'{"a":1}\n{"a":2}\r\n\n', b'[{"a":1},{"a":2}]'),
        (b'{\n"a": 1}\n', b'{\n"a": 1}\n'),
    ],
    ids=["byte order mark", "UTF-16", "a text for each line", "one text on lines"],
)
def test_body_becomes_one_text(body, text):
    assert as_one_text(body) == text


FOUND = [
    ("CoinPaprika", [{"id": "btc", "rank": 1}], "", ["id"]),
    ("Django REST Framework", {"count": 1, "results": [{"id": 1}]}, "results", ["id"]),
    ("Slack", {"ok": True, "members": [{"id": "U1"}], "response_metadata": {}}, "members", ["id"]),
    ("World Bank", [{"page": 1, "pages": 7}, [{"id": "a"}]], "[1]", ["id"]),
    ("Reddit", {"data": {"after": "x", "children": [{"kind": "t3", "data": {"id": "a"}}]}},
     "data.children[].data", ["id"]),
    ("GraphQL connections", {"data": {"coins": {"edges": [{"node": {"id": 1}, "cursor": "x"}]}}},
     "data.coins.edges[].node", ["id"]),
    ("Kraken", {"error": [], "result": {"XBT": {"a": [1]}, "ETH": {"a": [2]}}}, "result.*",
     ["key"]),
    ("DefiLlama", {"coins": {"ethereum:0x1": {"price": 1}, "ethereum:0x2": {"price": 2}}},
     "coins.*", ["key"]),
    ("CoinGecko's simple/price", {"bitcoin": {"usd": 1}, "ethereum": {"usd": 2}}, "*", ["key"]),
    ("CryptoCompare", {"Data": [{"CoinInfo": {"Id": "1"}}, {"CoinInfo": {"Id": "2"}}]}, "Data",
     ["Id"]),
    ("Binance", [[1499040000000, "0.1"], [1499040060000, "0.1"]], "", ["c1"]),
    ("CKAN", {"result": {"fields": [{"id": "a"}] * 9, "records": [{"_id": 1}]}}, "result.records",
     ["_id"]),
    ("ArcGIS", {"fields": [{"name": "x"}], "features": [{"attributes": {"OBJECTID": 1}}]},
     "features", ["OBJECTID"]),
    ("Elasticsearch", {"hits": {"total": {"value": 1}, "hits": [{"_id": "a", "_source": {}}]}},
     "hits.hits", ["_id"]),
    ("JSON:API", {"data": [{"type": "coins", "id": "1", "attributes": {}}], "included": []},
     "data", ["id"]),
    ("empty list", {"results": [], "next": None}, "results", ["id"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expression", "keys"), [f[1:] for f in FOUND],
                         ids=[f[0] for f in FOUND])  # fmt: skip
def test_records_and_key_of_an_unknown_body_are_found(body, expression, keys):
    text = json.dumps(body).encode()
    found = find_cut(text)
    assert found.expression() == expression
    assert list(with_keys(found, text, []).keys) == keys


@pytest.mark.parametrize("body", [b'{"a": 1}', b'{"error": "x"}', b"3", b'"x"', b"{}"])
def test_body_without_a_list_is_an_error(body):
    with pytest.raises(PageError):
        find_cut(body)


@pytest.mark.parametrize(
    ("wanted", "record"),
    [
        (["uid"], {"data": {"uid": 7}}),
        (["Info.uid"], {"Info": {"uid": 7}}),
        (["uid"], {"uid": 7}),
    ],
)
def test_wanted_key_is_found_in_nested_objects(wanted, record):
    body = json.dumps([record]).encode()
    found = with_keys(find_cut(body), body, wanted)
    assert found.keys == ("uid",)
    assert json.loads(bytes(cut_records(body, found)[0]))["uid"] == 7


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'[{"id":"a","p":1},{"id":"b","\xffn":2},{"id":"c","x":{"\xc3(":1}},{"i\xff":3}]', "id"),
        (b'[{"na\xffme":2},{"id":"a","price":1}]', "id"),
        (b'{"a":{"price":1},"b\xff":{"price":2},"c":{"\xffprice":2},"d":{"x":{"\xff":1}}}', "key"),
    ],
    ids=["list", "first of a list", "object"],
)  # fmt: skip
@pytest.mark.parametrize("columns", ["", "q=x.y"])
def test_name_that_is_not_utf8_spoils_its_record_only(body, key, columns):
    cut = replace(find_cut(body), columns=parse_columns(columns))
    cut = with_keys(cut, body, [])
    records = [bytes(record) for record in cut_records(body, cut)]
    assert cut.keys == (key,)
    good = []
    for record in records:
        with suppress(CoercionError):
            check_text(record)
            good.append(json.loads(record)[key])
    assert good == ["a"]
