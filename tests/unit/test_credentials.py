"""The headers that carry an API's credentials."""

from base64 import b64decode
from contextlib import closing
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import Response
from scrapy.settings import Settings
from scrapy.utils.test import get_crawler

from coinspider.crawl.dispatch import PageMiddleware
from coinspider.errors import ConfigurationError
from coinspider.http.api_key import account_name, credential_headers
from coinspider.http.ratelimit import RateLimitMiddleware
from coinspider.spiders.next import NextSpider


def headers(**settings: Any) -> dict[str, str]:
    return credential_headers(Settings(settings))


def test_without_credentials_no_header_is_sent() -> None:
    assert headers() == {}


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_a_token_follows_its_scheme(scheme: str) -> None:
    assert headers(API_TOKEN="t", API_TOKEN_SCHEME=scheme) == {"Authorization": f"{scheme} t"}


def test_the_scheme_is_token_by_default() -> None:
    assert headers(API_TOKEN="t") == {"Authorization": "Token t"}


def test_a_token_that_goes_into_the_query_is_in_no_header() -> None:
    assert headers(API_TOKEN="t", API_TOKEN_PARAMETER="key") == {}


def test_basic_credentials_keep_every_character() -> None:
    kind, encoded = headers(API_USERNAME="ann", API_PASSWORD="p:ä")["Authorization"].split()
    assert (kind, b64decode(encoded).decode()) == ("Basic", "ann:p:ä")


def test_a_token_and_a_user_name_exclude_each_other() -> None:
    with pytest.raises(ConfigurationError, match="set API_TOKEN or API_USERNAME, not both"):
        headers(API_TOKEN="secret-token", API_USERNAME="ann")


def test_a_source_may_name_its_own_setting() -> None:
    settings = Settings({"API_TOKEN": "other", "ACME_TOKEN": "mine"})
    assert credential_headers(settings, "ACME_TOKEN") == {"Authorization": "Token mine"}


KEY = "https://api.example/v1", "abc"
NO_KEY = "https://api.example/v1", None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(KEY, ("https://api.example/v2?x=1", "abc"), True, id="other paths"),
        pytest.param(KEY, ("https://API.example:443/", "abc"), True, id="its usual port"),
        pytest.param(KEY, ("http://me@api.example:80", "abc"), True, id="a name before the host"),
        pytest.param(KEY, ("https://api.example:8443/v1", "abc"), False, id="another port"),
        pytest.param(KEY, ("https://api.example/v1", "abd"), False, id="another key"),
        pytest.param(KEY, ("https://two.example/v1", "abc"), False, id="another host"),
        pytest.param(KEY, NO_KEY, False, id="no key"),
        pytest.param(NO_KEY, ("https://api.example/v2", ""), True, id="no key twice"),
        pytest.param(NO_KEY, ("https://two.example/v1", None), False, id="no key, other host"),
    ],
)
def test_calls_are_counted_by_host_and_key(one: Any, other: Any, same: bool) -> None:
    assert (account_name(*one) == account_name(*other)) is same


def spider(arguments: dict[str, str] | None = None, **settings: Any) -> NextSpider:
    usual = {"NEXT_URL": "", "SPIDER_MIDDLEWARES": {PageMiddleware: 2000}}
    crawler = get_crawler(NextSpider, {**usual, **settings})
    given = {"url": "https://api.example/v1", "table": "t", **(arguments or {})}
    crawler.spider = NextSpider.from_crawler(crawler, **given)
    return crawler.spider


def test_project_without_the_settings_is_one_clear_line() -> None:
    with pytest.raises(ConfigurationError, match=r"from coinspider\.settings import \*"):
        spider(SPIDER_MIDDLEWARES={})


def account(arguments: dict[str, str] | None = None, **settings: Any) -> str:
    return spider(arguments, **settings).account


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        pytest.param({}, {"API_TOKEN": "k-e-y"}, id="Authorization"),
        pytest.param({}, {"API_TOKEN": "k-e-y", "API_TOKEN_SCHEME": "Bearer"}, id="Bearer"),
        pytest.param({}, {"API_TOKEN": "k-e-y", "API_TOKEN_HEADER": "X-Key"}, id="own header"),
        pytest.param({}, {"API_TOKEN": "k-e-y", "API_TOKEN_PARAMETER": "key"}, id="query"),
        pytest.param({}, {"API_USERNAME": "k-e-y", "API_PASSWORD": "x"}, id="user name"),
        pytest.param({"headers": "X-Api-Key=k-e-y"}, {}, id="argument"),
        pytest.param({"headers": "Accept=x,Authorization=Bearer k-e-y"}, {}, id="argument, Bearer"),
    ],
)
def test_key_is_the_same_however_it_is_sent(
    arguments: dict[str, str], settings: dict[str, str]
) -> None:
    assert account(arguments, **settings) == account_name("https://api.example", "k-e-y")
    assert "k-e-y" not in account(arguments, **settings)


def test_headers_without_a_key_are_none() -> None:
    assert account({"headers": "Accept=text/json"}) == "api.example without key"


@pytest.mark.parametrize("port", ["65536", "abc", "-1"])
def test_impossible_port_is_one_clear_line(port: str) -> None:
    with pytest.raises(ConfigurationError, match="the port in url is not a number from 0 to 65535"):
        account({"url": f"https://api.example:{port}/v1"})


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        pytest.param({}, {"API_TOKEN": "k-e-y-1"}, id="token"),
        pytest.param({}, {"API_USERNAME": "me", "API_PASSWORD": "k-e-y-1"}, id="password"),
        pytest.param({"headers": "X-Api-Key=k-e-y-1"}, {}, id="argument"),
    ],
)
def test_key_that_the_api_repeats_is_not_shown(
    arguments: dict[str, str], settings: dict[str, str]
) -> None:
    one = spider(arguments, **settings)
    said = b'{"error": "The key k-e-y-1 makes too many calls"}'
    response = Response("https://api.example/v1", status=429, body=said)
    limiter = RateLimitMiddleware.from_crawler(one.crawler)
    limiter.process_response(Request(response.url), response)
    shown = "The key *** makes too many calls"
    assert limiter.limit.state.why == f"refused with HTTP status 429: {shown}"
    one.failed_pages.failure(Request(response.url), one.explain(response))
    with closing(one.seen):
        assert one.outcome.reason
        assert one.outcome.reason.message.endswith(f"could not be fetched: {shown}")
