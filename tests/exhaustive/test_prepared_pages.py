"""The items of a page, made at once, are those of its records alone."""

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from coinspider.errors import CoercionError
from coinspider.items import FullCoin
from coinspider.records.coercion import coerce, prepare
from coinspider.records.record import Record, Source
from tests.helpers.coin_records import PROPERTY, REAL_TEXTS, SOURCE, TOO_LONG, record_text, records


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
