"""From a record's text to an item, digit for digit, or to the reason why not."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from coinspider.errors import CoercionError
from coinspider.items import FullCoin
from coinspider.records.coercion import DIGITS_MAX, coerce, prepare
from coinspider.records.record import Record, Source, split_page
from tests.helpers.processes import DATA

REAL = DATA / "coins_markets_eur_2025-03-04.json"
REAL_TEXTS = [bytes(text) for text in split_page(REAL.read_bytes())]
SOURCE = Source("https://api.example/coins", FullCoin, {"vs_currency": "eur"})
REQUIRED = {"id": '"bitcoin"', "symbol": '"btc"', "name": '"Bitcoin"'}
AMOUNTS = [
    "current_price", "market_cap", "fully_diluted_valuation", "total_volume", "high_24h", "low_24h",
    "price_change_24h", "price_change_percentage_24h", "market_cap_change_24h",
    "market_cap_change_percentage_24h", "circulating_supply", "total_supply", "max_supply", "ath",
    "ath_change_percentage", "atl", "atl_change_percentage",
]  # fmt: skip
TIMES = ["ath_date", "atl_date", "last_updated"]
NULLABLE = [*AMOUNTS, *TIMES, "market_cap_rank", "image"]
MOMENT = '"2025-01-20T07:16:25.271Z"'
PROPERTY = settings(max_examples=150)


def record_text(**texts: str) -> str:
    return "{" + ", ".join(f'"{key}": {text}' for key, text in (REQUIRED | texts).items()) + "}"


def coerced(text: str | bytes) -> FullCoin:
    return coerce(Record(Raw(text.encode() if isinstance(text, str) else text), SOURCE))


def read_independently(text: str | bytes) -> dict[str, Any]:
    """The expected item, read with nothing but ``json`` and ``decimal``."""
    sent = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    fields = {key: sent.pop(key, None) for key in (*REQUIRED, *NULLABLE)}
    fields |= {key: Decimal(fields[key]) for key in AMOUNTS if fields[key] is not None}
    fields |= {key: datetime.fromisoformat(fields[key].upper()) for key in TIMES if fields[key]}
    if fields["market_cap_rank"] is not None:
        fields["market_cap_rank"] = int(Decimal(fields["market_cap_rank"]))
    return fields | {"coin_id": fields.pop("id"), "vs_currency": "eur", "extra": sent}


def as_read(item: FullCoin) -> dict[str, Any]:
    extra = json.loads(bytes(item.extra), parse_float=Decimal, parse_int=Decimal)
    fields = msgspec.structs.asdict(item)
    assert fields.pop("roi") is UNSET, "it has no column, so it belongs only into extra"
    return fields | {"extra": extra}


def exact(fields: dict[str, Any]) -> dict[str, Any]:
    """Distinguishes ``1.0`` from ``1``, which ``==`` does not; ``-0`` is still ``0``."""
    return {
        name: (value, *value.as_tuple()[1:]) if isinstance(value, Decimal) else value
        for name, value in fields.items()
    }


def test_there_are_30_real_records():
    assert len(REAL_TEXTS) == 30


@pytest.mark.parametrize("text", REAL_TEXTS, ids=lambda text: json.loads(text)["id"])
def test_a_real_record_coerces_exactly(text):
    item, expected = as_read(coerced(text)), read_independently(text)
    assert exact(item) == exact(expected)
    assert item["extra"].keys() == {"roi"}


@pytest.mark.parametrize("key", AMOUNTS)
@pytest.mark.parametrize(
    "text",
    [
        "0",
        "70187",
        "21000000.0",
        "-7128.754488713603",
        "7.662e-05",
        "0.000000000123456789",
        "1e-12",
        "1e24",
        "1.2345E+24",
        "9223372036854775808",
        "123456789012345678901234567890.123456789012345678",
        "-0.10",
    ],
)
def test_an_amount_keeps_every_digit(key, text):
    item = coerced(record_text(**{key: text}))
    assert str(getattr(item, key)) == str(Decimal(text))


@pytest.mark.parametrize("text", ["104485184.0928", "21000000.0", "1e24", "0"])
def test_an_amount_may_be_a_string(text):
    item = coerced(record_text(circulating_supply=f'"{text}"'))
    assert str(item.circulating_supply) == str(Decimal(text))


@pytest.mark.parametrize("key", NULLABLE)
def test_nullable_field_may_be_missing(key):
    assert getattr(coerced(record_text(**{key: "null"})), key) is None
    assert getattr(coerced(record_text()), key) is None


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("1", 1),
        ("7.0", 7),
        ('"7"', 7),
        ('"7.0"', 7),
        ("1e3", 1000),
        ("1e+3", 1000),
        ("70E-1", 7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775807.0", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_a_whole_number_in_any_notation_is_an_integer(text, rank):
    item = coerced(record_text(market_cap_rank=text))
    assert item.market_cap_rank == rank
    assert type(item.market_cap_rank) is int


def test_an_integer_in_another_notation_leaves_the_rest_exact():
    item = coerced(
        record_text(market_cap_rank='"7"', ath="1.50", max_supply="1e24", x="[1, 2.50 ]")
    )
    assert (str(item.ath), str(item.max_supply)) == ("1.50", "1E+24")
    assert bytes(item.extra) == b'{"x":[1, 2.50 ]}'


@pytest.mark.parametrize("key", TIMES)
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param(MOMENT, datetime(2025, 1, 20, 7, 16, 25, 271000, UTC), id="milliseconds"),
        pytest.param('"2013-07-05T00:00:00.000Z"', datetime(2013, 7, 5, tzinfo=UTC), id="zeros"),
        pytest.param('"2013-07-05T00:00:00Z"', datetime(2013, 7, 5, tzinfo=UTC), id="seconds"),
        pytest.param('"2013-07-05T02:00:00+02:00"', datetime(2013, 7, 5, tzinfo=UTC), id="offset"),
    ],
)
def test_a_time_is_the_moment_that_its_text_names(key, text, moment):
    time = getattr(coerced(record_text(**{key: text})), key)
    assert time == moment
    assert time.tzinfo is not None


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        pytest.param("symbol", f'"{"x" * 46}"', "x" * 46, id="46 characters"),
        pytest.param("symbol", '""', "", id="empty"),
        pytest.param("name", '" spaces "', " spaces ", id="spaces"),
        pytest.param("name", '"漢字 🚀"', "漢字 🚀", id="Unicode"),
        pytest.param("name", r'"\ud83d\ude80"', "🚀", id="surrogate pair"),
        pytest.param("name", r'"\"\\\/\n"', '"\\/\n', id="escapes"),
        pytest.param("name", r'"\\u0000"', r"\u0000", id="a backslash before u0000"),
        pytest.param("image", '"missing_large.png"', "missing_large.png", id="no image"),
    ],
)
def test_text_is_unchanged(key, text, value):
    assert getattr(coerced(record_text(**{key: text})), key) == value


def wrong(keys: list[str], **texts: str) -> list[Any]:
    return [
        pytest.param(key, text, id=f"{key} {name}") for key in keys for name, text in texts.items()
    ]


NEVER_RIGHT = {"bool": "true", "array": "[]", "object": "{}"}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *wrong(AMOUNTS, word='"dear"', empty='""', number_in_list="[1]", **NEVER_RIGHT),
        *wrong(
            ["market_cap_rank"],
            word='"first"',
            empty='""',
            fraction="1.5",
            fraction_as_text='"1.5"',
            too_large="9223372036854775808",
            too_small="-9223372036854775809",
            large_exponent="1e20",
            huge_exponent="1e999999999",
            NaN='"NaN"',
            **NEVER_RIGHT,
        ),
        *wrong(
            TIMES,
            number="1741082400",
            word='"yesterday"',
            empty='""',
            date='"2025-03-04"',
            naive='"2025-03-04T14:45:50.155"',
            no_such_day='"2025-02-30T14:45:50.155Z"',
            **NEVER_RIGHT,
        ),
        *wrong(list(REQUIRED), null="null", number="5", **NEVER_RIGHT),
        *wrong(["image"], number="5", **NEVER_RIGHT),
        *wrong(["id"], empty='""'),
    ],
)
def test_error_for_a_wrong_value_names_its_key(key, text):
    with pytest.raises(CoercionError, match=rf"\b{key}\b"):
        coerced(record_text(**{key: text}))


@pytest.mark.parametrize("key", REQUIRED)
def test_error_for_a_missing_field_names_its_key(key):
    text = json.dumps({other: "x" for other in REQUIRED if other != key})
    with pytest.raises(CoercionError, match=rf"\b{key}\b"):
        coerced(text)


@pytest.mark.parametrize("key", AMOUNTS)
@pytest.mark.parametrize("text", ["NaN", '"NaN"', '"nan"', '"sNaN"', '"Infinity"', '"-inf"'])
def test_an_amount_that_is_not_finite_is_refused(key, text):
    with pytest.raises(CoercionError):
        coerced(record_text(**{key: text}))


@pytest.mark.parametrize("key", ["id", "name", "market_cap_rank", "ath", "ath_date", "unnamed"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("NaN", id="NaN"),
        pytest.param("Infinity", id="Infinity"),
        pytest.param("-Infinity", id="minus Infinity"),
        pytest.param("01", id="leading zero"),
        pytest.param("tru", id="no such word"),
        pytest.param("[1,]", id="trailing comma"),
        pytest.param(r'"\u0000"', id="NUL"),
        pytest.param(r'"\\\u0000"', id="NUL after a backslash"),
        pytest.param('"\x00"', id="raw NUL"),
        pytest.param('"\n"', id="raw line break"),
        pytest.param(r'"\ud800"', id="half a surrogate pair"),
        pytest.param(r'"\x"', id="no such escape"),
        pytest.param("[" * 100_000 + "]" * 100_000, id="deep nesting"),
    ],
)
def test_invalid_json_and_unstorable_text_are_refused_in_any_field(key, text):
    with pytest.raises(CoercionError):
        coerced(record_text(**{key: text}))


def test_nul_in_an_undeclared_key_is_refused():
    with pytest.raises(CoercionError, match="NUL"):
        coerced(record_text(**{r"a\u0000": "1"}))


@pytest.mark.parametrize("key", ["name", "unnamed"])
@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc3", b"\xed\xa0\x80"], ids=["FF", "cut", "surrogate"]
)
def test_bytes_that_are_not_utf_8_are_refused(key, text):
    with pytest.raises(CoercionError, match="utf-8"):
        coerced(record_text(**{key: '"?"'}).encode().replace(b"?", text))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "null", '"x"', "NaN", "{", "{}", "<html>", record_text() + "x"],
    ids=["nothing", "array", "number", "null", "text", "NaN", "cut", "empty", "HTML", "trailing"],
)
def test_anything_but_an_object_is_refused(text):
    with pytest.raises(CoercionError, match=r"\w+ \w+"):
        coerced(text)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "1.50",
        "1e400",
        "9223372036854775808.10",
        "-0.0",
        '"a b"',
        r'"\u00e9\/"',
        "[1, 2.50 ]",
        '{"times": 1.50, "currency": "usd"}',
        '{"price": [9.1e-05, null]}',
    ],
)
def test_an_undeclared_field_keeps_its_text(text):
    assert bytes(coerced(record_text(new_field=text)).extra) == f'{{"new_field":{text}}}'.encode()


def test_every_undeclared_field_is_kept():
    item = coerced(
        record_text(roi="null", sparkline_in_7d='{"price":[1.0]}', x_in_currency="-1.10")
    )
    assert (
        bytes(item.extra) == b'{"roi":null,"sparkline_in_7d":{"price":[1.0]},"x_in_currency":-1.10}'
    )


@pytest.mark.parametrize("key", ["extra", "coin_id", 'qu\\"ote', "é", ""])
def test_an_undeclared_field_may_have_any_name(key):
    extra = json.loads(bytes(coerced(record_text(**{key: "1"})).extra))
    assert extra == {json.loads(f'"{key}"'): 1}


def test_extra_is_empty_without_undeclared_fields():
    assert bytes(coerced(record_text(ath="1")).extra) == b"{}"


def test_a_constant_is_part_of_the_item():
    assert coerced(record_text()).vs_currency == "eur"


def test_a_constant_overrules_a_field_of_the_same_name():
    item = coerced(record_text(vs_currency='"usd"'))
    assert item.vs_currency == "eur"
    assert bytes(item.extra) == b'{"vs_currency":"usd"}'


numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
strings = st.builds(json.dumps, st.text(max_size=20), ensure_ascii=st.booleans())
oddities = st.sampled_from([
    "null", "true", "[]", '{"a": [1.50]}', "NaN", '"NaN"', r'"\ud800"', r'"\u0000"', '"1.50"',
    '"7"', MOMENT, "9223372036854775808", "1e20", "-0", "{", ",",
])  # fmt: skip
keys = st.sampled_from([*REQUIRED, *NULLABLE, "roi", "extra"])
records = st.builds(
    lambda amounts, others: record_text(**amounts | others),
    st.dictionaries(st.sampled_from(AMOUNTS), numbers | st.just("null")),
    st.dictionaries(keys, numbers | strings | oddities, max_size=2),
)


def is_too_long(text: str) -> bool:
    number = Decimal(text)
    return bool(number) and abs(number.adjusted()) > DIGITS_MAX


# 22 digits and 980 zeros: two more than a number may have.
TOO_LONG = "1000000000000000000000E980"


@PROPERTY
@given(key=st.sampled_from(AMOUNTS), text=numbers)
@example(key="current_price", text=TOO_LONG)
def test_an_amount_is_the_decimal_of_any_number(key, text):
    if is_too_long(text):
        with pytest.raises(CoercionError, match="digits"):
            coerced(record_text(**{key: text}))
        return
    value = getattr(coerced(record_text(**{key: text})), key)
    assert exact({key: value}) == exact({key: Decimal(text)})


def assert_exact_or_refused(text: str | bytes) -> None:
    try:
        item = coerced(text)
    except CoercionError:
        return
    assert exact(as_read(item)) == exact(read_independently(text))


@PROPERTY
@given(records)
def test_any_record_is_exact_or_refused(text):
    assert_exact_or_refused(text)


ASIDE = {"NaN": '"NaN"', "-Infinity": '"-Infinity"'}


def coerced_by_field(text: str | bytes) -> FullCoin:
    return coerce(Record(Raw(text.encode() if isinstance(text, str) else text), SOURCE), True)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *wrong(AMOUNTS[:2], word='"N/A"', empty='""', NaN="NaN", infinity="-Infinity",
               NaN_as_text='"NaN"', **NEVER_RIGHT),
        *wrong(["market_cap_rank"], word='"first"', fraction="1.5", too_large="1e20", NaN="NaN"),
        *wrong(TIMES, empty='""', number="1741082400", naive='"2025-03-04T14:45:50.155"'),
        *wrong(["image"], number="5", bool="false"),
    ],
)  # fmt: skip
def test_by_field_a_wrong_value_costs_only_its_field(key, text):
    item = coerced_by_field(record_text(**{key: text, "high_24h": "1.50", "new": "[1.0 ]"}))
    assert getattr(item, key) is None
    assert str(item.high_24h) == "1.50"
    assert bytes(item.extra) == f'{{"new":[1.0 ],"{key}":{ASIDE.get(text, text)}}}'.encode()
    [field] = item.set_aside
    assert (field.column, field.text) == (key, text.encode())
    assert field.reason.startswith(f"{key}: ")


def test_integers_are_repaired_beside_a_field_that_is_set_aside():
    item = coerced_by_field(record_text(market_cap_rank="7.0", ath_date='""', atl="NaN", roi="{}"))
    assert item.market_cap_rank == 7
    assert {field.column for field in item.set_aside} == {"ath_date", "atl"}
    assert json.loads(bytes(item.extra)) == {"roi": {}, "ath_date": "", "atl": "NaN"}


@pytest.mark.parametrize("key", REQUIRED)
def test_by_field_a_wrong_required_value_costs_the_record(key):
    with pytest.raises(CoercionError, match=rf"\b{key}\b"):
        coerced_by_field(record_text(**{key: "null", "ath_date": '""'}))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", record_text(ath="nul"), record_text(ath='"\\u0000"'),
     record_text(ath="NaN", new="NaN"), record_text(ath="[" * 100_000),
     record_text(ath='""').replace('"ath"', '"a\ud800"', 1).encode("utf-8", "surrogatepass")],
)  # fmt: skip
def test_by_field_invalid_json_costs_the_record(text):
    with pytest.raises(CoercionError):
        coerced_by_field(text)


@PROPERTY
@given(records)
@example(record_text(current_price=TOO_LONG))
def test_by_field_any_record_is_exact_except_for_fields_set_aside(text):
    try:
        item = coerced_by_field(text)
    except CoercionError:
        return
    aside = {field.column for field in item.set_aside}
    if not aside:
        assert exact(as_read(item)) == exact(read_independently(text))
        return
    sent = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=str)
    extra = json.loads(bytes(item.extra), parse_float=Decimal, parse_int=Decimal)
    for key in aside:
        # A number with too many digits for PostgreSQL is kept as a string.
        is_number = isinstance(sent[key], Decimal)
        kept = Decimal(extra[key]) if is_number and key in AMOUNTS else extra[key]
        assert kept == sent[key]
    for key in [key for key in AMOUNTS if key not in aside and sent.get(key) is not None]:
        assert exact({key: getattr(item, key)}) == exact({key: Decimal(sent[key])})


@PROPERTY
@given(st.sampled_from(REAL_TEXTS), st.data())
def test_a_damaged_record_is_exact_or_refused(text, data):
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from(b'"\\,:{}[]-+.eE0159 \x00\xff') | st.integers(0, 255))
    assert_exact_or_refused(text[:place] + bytes([byte]) + text[place + 1 :])


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("9" * 1000, True), ("9" * 1001, False), ("1e999", True), ("1e131000", False),
        ("-1e-1000", True), ("1e-1001", False), ("0." + "1" * 1000, True),
        ("0." + "1" * 1001, False), ("1e99999999999999", False), ("0e99999", True),
    ],
)  # fmt: skip
def test_a_number_has_a_limited_number_of_digits(text, fits):
    record = record_text(current_price=text, market_cap="1")
    if fits:
        assert coerced(record).current_price == Decimal(text)
    else:
        with pytest.raises(CoercionError, match=r"AMOUNT_DIGITS_MAX|not a finite number"):
            coerced(record)


def prepared(texts: list[str]) -> list[FullCoin | str]:
    """The items of a page's records, or the reasons why there is none."""
    page = [Record(Raw(text.encode()), SOURCE) for text in texts]
    prepare(page)
    return [outcome(record) for record in page]


def outcome(record: Record) -> FullCoin | str:
    try:
        return coerce(record, by_field=True)
    except CoercionError as error:
        return str(error)


def told(found: FullCoin | str) -> tuple[object, ...] | str:
    if isinstance(found, str):
        return found
    return type(found), found, found.source, found.set_aside, bytes(found.extra)


@PROPERTY
@given(st.lists(records | st.sampled_from(REAL_TEXTS).map(bytes.decode), min_size=1, max_size=4))
@example([record_text(current_price=TOO_LONG), record_text()])
@example([record_text(current_price='"NaN"'), record_text()])
@example([record_text(new="1"), record_text(id='"\\u0000"'), record_text(roi='{"times": 2.0}')])
@example([record_text(vs_currency='"usd"'), record_text(market_cap_rank="7.0")])
@example([record_text() + "," + record_text(), record_text()])
def test_prepared_page_gives_the_same_items_as_its_records_alone(texts):
    alone = [outcome(Record(Raw(text.encode()), SOURCE)) for text in texts]
    assert list(map(told, prepared(texts))) == list(map(told, alone))


def test_a_pipelines_change_to_a_prepared_record_counts():
    page = [Record(Raw(record_text().encode()), SOURCE) for _ in range(3)]
    prepare(page)
    assert all(record.made for record in page)
    page[0].text = Raw(record_text(name='"Other"').encode())
    page[1].source = Source("u", FullCoin, {"vs_currency": "usd"})
    changed, moved, plain = map(coerce, page)
    assert (changed.name, moved.vs_currency) == ("Other", "usd")
    assert (plain.name, plain.vs_currency) == ("Bitcoin", "eur")
    assert coerce(page[2]) is not plain
