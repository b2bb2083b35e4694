"""Each record is either stored as an independent reading has it, or rejected."""

import json
import re
from collections import Counter
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.processes import last_line
from tests.helpers.stored import AMOUNTS, digits, expected_row, stored_rows

RECORD_COUNT = 400
TIMES = ["ath_date", "atl_date", "last_updated"]

plain_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
json_texts = st.tuples(plain_text, st.booleans()).map(
    lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1])
)
numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True
)
moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: json.dumps(moment.isoformat()))
json_values = st.recursive(
    st.sampled_from(["null", "true", "false"]) | numbers | json_texts,
    lambda values: st.lists(values, max_size=3).map(lambda texts: f"[{', '.join(texts)}]"),
    max_leaves=4,
)
broken = st.sampled_from(
    ["NaN", "-Infinity", r'"\u0000"', r'"\ud800"', '"a\nb"', "01", ".5", "1.", "0x1", "'a'", "nul"]
)
GOOD = (
    dict.fromkeys(["symbol", "name"], json_texts)
    | dict.fromkeys(AMOUNTS, numbers | numbers.map('"{}"'.format) | st.just("null"))
    | dict.fromkeys(TIMES, moments | st.just("null"))
    | {"market_cap_rank": st.integers(-(2**63), 2**63 - 1).map(str) | st.just("null")}
    | {"image": json_texts | st.just("null")}
    | {"roi": json_values, "a new field": json_values}
)
WRONG = (
    dict.fromkeys(["symbol", "name"], numbers | st.just("null") | broken)
    | dict.fromkeys(AMOUNTS, st.sampled_from(['"1,5"', '""', "true", "[1]", '"NaN"']) | broken)
    | dict.fromkeys(TIMES, st.sampled_from(['"yesterday"', "{}", '"2025-01-01T00:00:00"']) | broken)
    | {"market_cap_rank": st.sampled_from(["1.5", '"first"', "9223372036854775808"]) | broken}
    | {"image": numbers | broken, "roi": broken}
)


@st.composite
def records(draw):
    """A kind, and the texts of a record's fields in any order, without the one that names it."""
    kind = draw(st.sampled_from(["good", "bad", "any"]))
    fields = {
        key: draw(values)
        for key, values in GOOD.items()
        if key in ("symbol", "name") or draw(st.booleans())
    }
    key = draw(st.sampled_from(list(WRONG)))
    if kind == "bad":
        fields[key] = draw(WRONG[key])
    elif kind == "any":
        fields[key] = draw(json_values | broken)
    gap = draw(st.sampled_from(["", " ", "\n\t"]))
    texts = [f'"{key}":{gap}{text}{gap}' for key, text in fields.items()]
    return kind, draw(st.permutations(texts))


def drawn_page():
    """Records of all kinds, by id."""
    page = {}

    @settings(max_examples=RECORD_COUNT)
    @given(records(), st.integers(0, 20))
    def draw(record, place):
        kind, texts = record
        name = f"drawn-{len(page)}"
        texts.insert(place, f'"id": "{name}"')
        page[name] = kind, f"{{{','.join(texts)}}}"

    draw()
    return page


def comparable(row):
    """Without -0, which PostgreSQL's ``numeric`` and ``jsonb`` don't have."""
    row = digits(row)
    return {
        name: value[1:] if isinstance(value, str) and re.fullmatch(r"-0(\.0+)?", value) else value
        for name, value in row.items()
    }


def test_each_record_is_stored_exactly_or_rejected(scrapy, sandbox, query, tmp_path):
    page = drawn_page()
    assert min(Counter(kind for kind, _ in page.values()).values()) > RECORD_COUNT / 10
    file = tmp_path / "page"
    file.write_text(f"[{','.join(text for _, text in page.values())}]")
    api = sandbox("--body", file)
    done = scrapy("crawl", "coins", "-s", "REJECTED_SHARE_MAX=1",
                  "-s", "COERCION_STRICT_ENABLED=1", COINGECKO_BASE_URL=api.url)  # fmt: skip
    assert done.returncode == 0, done.stderr
    stored = stored_rows(query)
    rejected = [
        re.search(r'"(drawn-\d+)"', text)[1]
        for (text,) in query("SELECT text FROM rejected_record")
    ]
    assert sorted([*stored, *rejected]) == sorted(page)
    for name, (kind, text) in page.items():
        if kind != "any":
            assert (name in stored) == (kind == "good"), text
        if name in stored:
            assert comparable(stored[name]) == comparable(expected_row(text, "usd")), text
    assert f"{len(rejected)} rejected" in last_line(done)
