"""Documented APIs, crawled by URL alone, are read whole or not at all."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec import Raw

from coinspider.http.pagination import AnsweredPage, PageRequest, SinglePage, Step
from coinspider.http.pagination.auto import Auto, make_strategy
from coinspider.records.cutting import cut_records
from coinspider.records.discovery import find_cut
from coinspider.records.json_path import find_value, parse_path
from tests.helpers.api_shapes import COUNT, SHAPES, Part, Shape
from tests.helpers.processes import PROJECT

URL = Part(0).url
UNTOLD = [name for name, shape in SHAPES.items() if shape.hint]


def place(shape: Shape, request: PageRequest) -> int:
    """Where the requested page begins."""
    if shape.where == "body":
        value = find_value(request.body, parse_path(shape.parameter))
    elif shape.where == "header":
        value = dict(request.headers).get(shape.parameter)
    else:
        query = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
        value = query.get(shape.parameter)
    return 0 if value is None else (int(value) - shape.first) * shape.unit


def answer(shape: Shape, request: PageRequest) -> AnsweredPage:
    found = shape.answer(Part(place(shape, request)))
    body, headers = found if isinstance(found, tuple) else (found, {})
    named = {name.lower(): value for name, value in headers.items()}
    if body == "error":
        return AnsweredPage(request, request.url, {}, b"", (), error="HTTP status 404")
    text = json.dumps(body).encode()
    cut = request.cut or find_cut(text)
    records: list[Raw] = cut_records(text, cut)
    return AnsweredPage(replace(request, cut=cut), request.url, named, text, records)


def walk(shape: Shape, strategy: Any) -> tuple[set[int], Step]:
    """The ids that came, and how the crawl ended."""
    url = f"{URL}?{shape.url}" if shape.url else URL
    first = PageRequest(url, "POST" if shape.body else "GET", body=shape.body.encode())
    pending, ids, step = [strategy.first(first)], set[int](), Step()
    for _ in range(60):
        page = answer(shape, pending.pop(0))
        ids |= {json.loads(bytes(record)).get("id") for record in page.records}
        step = (page.request.strategy or strategy).following(page)
        pending += step.requests
        if not pending:
            return ids, step
    raise AssertionError("it does not end")


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in UNTOLD])
def test_shape_is_read_by_its_url_alone(name):
    ids, step = walk(SHAPES[name], Auto())
    assert step.end, step.problem
    assert ids == set(range(COUNT)) or ids == {None}


@pytest.mark.parametrize("name", UNTOLD)
def test_shape_without_signs_needs_arguments_and_is_never_falsely_complete(name):
    shape = SHAPES[name]
    ids, step = walk(shape, Auto())
    assert ids == set(range(COUNT)) or shape.hint in (step.problem or "")
    told = dict(shape.arguments)
    ids, step = walk(shape, make_strategy(told.pop("pagination"), told))
    assert step.end, step.problem
    assert ids == set(range(COUNT))


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in UNTOLD])
def test_sign_of_more_pages_contradicts_a_single_page(name):
    shape = SHAPES[name]
    page = answer(shape, SinglePage().first(PageRequest(URL, body=shape.body.encode())))
    assert bool(page.signs.says_more(len(page.records))) is (name != "Blockfrost")


def test_docs_name_each_shape():
    text = (PROJECT / "docs/other-apis.md").read_text()
    assert [n for n, shape in SHAPES.items() if f"[{n}]({shape.source})" not in text] == []
