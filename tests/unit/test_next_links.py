"""Links to the next page, in the body or in a header."""

import pytest

from coinspider.http.pagination import LinkHeader, NextLink
from tests.helpers.answered import answered, urls


@pytest.mark.parametrize(
    ("link", "following"),
    [
        pytest.param("https://api.example/x?page=3", "https://api.example/x?page=3", id="absolute"),
        pytest.param("?page=3", "https://api.example/things?page=3", id="relative"),
        pytest.param("/v2/x", "https://api.example/v2/x", id="relative to the host"),
    ],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("next", lambda link: {"next": link}),
        ("links.next", lambda link: {"links": {"next": link}}),
        ("@odata.nextLink", lambda link: {"@odata.nextLink": link}),
        ("links[-1].href", lambda link: {"links": [{"href": "/"}, {"href": link}]}),
    ],
)
def test_next_link(link, following, path, body):
    assert urls(NextLink(path).following(answered(body(link)))) == [following]


@pytest.mark.parametrize("value", [None, "", False])
def test_empty_link_is_the_end(value):
    assert NextLink().following(answered({"next": value, "results": [1]})).end
    assert NextLink("links.next").following(answered({"links": {}})).end, "so is the place for it"


@pytest.mark.parametrize("envelope", [{"done": True}, {"last": True}], ids=str)
def test_flag_with_several_meanings_does_not_overrule_a_link(envelope):
    assert NextLink().following(answered({"next": "?page=3", **envelope})).requests


@pytest.mark.parametrize(
    ("header", "following"),
    [
        pytest.param('<https://api.example/x?page=3>; rel="next"', "https://api.example/x?page=3",
                     id="next"),
        pytest.param('<?page=1>; rel="prev", </x?page=3>; rel="next"',
                     "https://api.example/x?page=3", id="among others, relative"),
        pytest.param('</x?ids=1,2&page=3>; rel=next', "https://api.example/x?ids=1,2&page=3",
                     id="a comma in the URL"),
        pytest.param('</x?a=1;b=2>; rel="next"', "https://api.example/x?a=1;b=2",
                     id="a semicolon in the URL"),
        pytest.param('</x>; title="page=2, \\"next\\""; rel="next"', "https://api.example/x",
                     id="a comma in another parameter"),
        pytest.param('</x>; rel="last next"', "https://api.example/x", id="two relations"),
        pytest.param('</x> ; REL = Next ; a', "https://api.example/x", id="spaces and case"),
        pytest.param('</x>; rel="prev"', None, id="none"),
    ],
)  # fmt: skip
def test_link_header(header, following):
    step = LinkHeader().following(answered([1], Link=header))
    assert urls(step) == ([following] if following else [])
    assert step.requests or step.end


@pytest.mark.parametrize("link", ["http://[", "//[x", "http://a\uff0fb/"])
def test_link_that_is_no_url_is_left_to_who_checks_all_links(link):
    assert urls(NextLink().following(answered({"next": link}))) == [link]
