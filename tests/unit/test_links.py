"""Which links a crawl follows."""

import asyncio

import pytest
from scrapy import Request

from coinspider.errors import ForbiddenLinkError
from coinspider.http.links import HOME_META, PrivateAddressMiddleware, check_link

HOME = "https://api.example/coins"


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        pytest.param("https://api.example/coins?page=2", "https://api.example/coins?page=2",
                     id="same host"),
        pytest.param("https://api.example:443/coins", "https://api.example:443/coins",
                     id="the default port"),
        pytest.param("http://api.example/coins?page=2", "https://api.example/coins?page=2",
                     id="http behind a TLS proxy"),
        pytest.param("https://mirror.example/coins", "https://mirror.example/coins",
                     id="an allowed host"),
    ],
)  # fmt: skip
def test_followed(link, followed):
    assert check_link(link, HOME, ["mirror.example"]) == followed


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("https://evil.example/coins", id="another host"),
        pytest.param("https://api.example.evil.example/coins", id="a longer name"),
        pytest.param("https://api.example:8443/coins", id="another port"),
        pytest.param("http://api.example:8080/coins", id="plain http on another port"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("ftp://mirror.example/", id="another scheme on an allowed host"),
    ],
)
def test_refused(link):
    with pytest.raises(ForbiddenLinkError, match=r"api\.example to"):
        check_link(link, HOME, ["mirror.example"])


def test_refusal_names_no_password():
    with pytest.raises(ForbiddenLinkError) as refused:
        check_link("https://me:secret@evil.example/x?token=secret", HOME, [])
    assert "secret" not in str(refused.value)


async def _check(link, home):
    await PrivateAddressMiddleware().process_request(Request(link, meta={HOME_META: home}))


@pytest.mark.parametrize(
    ("link", "home", "refused"),
    [
        pytest.param("http://127.0.0.1/x", "https://93.184.216.34/", True, id="loopback"),
        pytest.param("http://169.254.169.254/x", "https://93.184.216.34/", True, id="link-local"),
        pytest.param("http://10.1.2.3/x", "https://93.184.216.34/", True, id="private"),
        pytest.param("http://[::1]/x", "https://93.184.216.34/", True, id="loopback of IPv6"),
        pytest.param("http://localhost/x", "https://93.184.216.34/", True, id="by its name"),
        pytest.param("http://127.0.0.1:81/x", "http://127.0.0.1:80/", False, id="from there"),
        pytest.param("https://1.1.1.1/x", "https://93.184.216.34/", False, id="public"),
    ],
)
def test_a_public_api_can_not_link_into_the_crawls_own_network(link, home, refused):
    if refused:
        with pytest.raises(ForbiddenLinkError, match="own network"):
            asyncio.run(_check(link, home))
    else:
        asyncio.run(_check(link, home))


# Other programs read another host in some of them, or send what is before the @.
@pytest.mark.parametrize(
    "link",
    [
        "https://host:99999/x",
        "https://host:x/",
        "https://[::1/",
        "https://host:1\u001b[2J/",
        "http://evil\\@host/x",
        "http://host\\.evil.example/",
        "https://host@evil.example/",
        "https://me:secret@host/",
        "https://evil.example\t@host/",
        "https://ho\nst/",
        "https://ho\0st/",
        "https://host%2f.evil.example/",
        "https://ho st/",
    ],
)
def test_link_that_is_no_url_is_refused_in_one_line(link):
    with pytest.raises(ForbiddenLinkError, match="a link is not a URL") as caught:
        check_link(link, "https://host/", [])
    assert str(caught.value).isprintable()
