"""What the templates make of values."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from jinja2 import nodes
from msgspec import Raw

from coinspider.daemon.views.cells import age, direction, other_fields, until
from coinspider.daemon.views.view import environment, hue, link
from coinspider.text import per_cent

NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        ("2.414", "+2.41 %", "up"),
        ("-0.03", "-0.03 %", "down"),
        ("0.004", "0.00 %", ""),
        ("-0.0049", "0.00 %", ""),
        ("0", "0.00 %", ""),
        ("123.456", "+123.5 %", "up"),
        ("1204.4", "+1,204 %", "up"),
        ("1e13", "+10.00 T %", "up"),
        ("-1e25", "-1.00e25 %", "down"),
        (None, "", ""),
    ],
    ids=str,
)
def test_change_has_a_sign_and_its_colour(value, text, kind):
    number = Decimal(value) if value else None
    assert (per_cent(number), direction(number)) == (text, kind)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5 s ago"),
        (125, "2 min ago"),
        (7300, "2 h ago"),
        (1e6, "11 d ago"),
        (1e8, "3 y ago"),
        (-9, "just now"),
    ],
)
def test_age_is_short(seconds, text):
    assert age(NOW - timedelta(seconds=seconds), NOW) == text
    assert age(None) == ""
    assert until((NOW + timedelta(seconds=seconds)).isoformat(), NOW) == (
        f"in {text.removesuffix(' ago')}" if seconds > 0 else "now"
    )


def test_link_changes_only_the_given_arguments():
    assert link({"a": "1", "b": "x y"}, a=None, page=2) == "?b=x+y&page=2"


def test_coin_always_has_the_same_colour():
    assert hue("bitcoin") == hue("bitcoin") != hue("ethereum")


@pytest.mark.parametrize(
    ("extra", "fields"),
    [
        (b'{"roi": null, "tags": [], "more": {}}', {}),
        (b'{"roi": {"times": 35.20, "currency": "btc"}}',
         {"roi times": "35.20", "roi currency": "btc"}),
        (b'{"a": "x\\u0041", "b": [1, 2], "c": true}', {"a": "xA", "b": "[1, 2]", "c": "true"}),
        (b"[1]", {}),
        (None, {}),
    ],
)  # fmt: skip
def test_fields_without_a_column_are_text(extra, fields):
    assert other_fields(extra and Raw(extra)) == fields


@pytest.mark.parametrize("name", environment.list_templates(["html"]))
def test_no_filter_of_a_loop_asks_for_the_loop_itself(name):
    """Jinja has none there: the page would fail, but only when there is something to show."""
    source, *_ = environment.loader.get_source(environment, name)
    for each in environment.parse(source).find_all(nodes.For):
        asked = each.test.find_all(nodes.Name) if each.test else ()
        assert "loop" not in {found.name for found in asked}
