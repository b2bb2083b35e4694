"""What an API knows its users by."""

from base64 import b64decode
from typing import Any

import pytest
from scrapy.settings import Settings

from coinspider.errors import ConfigurationError
from coinspider.http.credentials import credential_headers


def headers(**settings: Any) -> dict[str, str]:
    return credential_headers(Settings(settings))


def test_without_credentials_no_header_is_sent() -> None:
    assert headers() == {}


@pytest.mark.parametrize("scheme", ["Token", "Bearer"])
def test_a_token_goes_behind_its_scheme(scheme: str) -> None:
    assert headers(API_TOKEN="t", API_TOKEN_SCHEME=scheme) == {"Authorization": f"{scheme} t"}


def test_the_scheme_is_token_by_default() -> None:
    assert headers(API_TOKEN="t") == {"Authorization": "Token t"}


def test_a_token_that_goes_into_the_query_is_in_no_header() -> None:
    assert headers(API_TOKEN="t", API_TOKEN_PARAMETER="key") == {}


def test_basic_credentials_keep_every_character() -> None:
    kind, encoded = headers(API_USERNAME="ann", API_PASSWORD="p:ä")["Authorization"].split()
    assert (kind, b64decode(encoded).decode()) == ("Basic", "ann:p:ä")


def test_a_token_and_a_user_name_are_one_too_many() -> None:
    with pytest.raises(ConfigurationError, match="set API_TOKEN or API_USERNAME, not both"):
        headers(API_TOKEN="secret-token", API_USERNAME="ann")


def test_a_source_may_name_its_own_setting() -> None:
    settings = Settings({"API_TOKEN": "other", "ACME_TOKEN": "mine"})
    assert credential_headers(settings, "ACME_TOKEN") == {"Authorization": "Token mine"}
