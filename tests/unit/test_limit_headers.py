"""What an API's headers say about its limit, in every style."""

from datetime import UTC, datetime

import pytest
from scrapy.http import Response

from coinspider.http.limit.headers import HeaderLimit, limit_in_headers
from coinspider.sandbox.behaviour import LIMITS, STYLES, limit_headers

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DATE = "Mon, 23 Nov 2026 11:58:00 GMT"


def told(**headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return limit_in_headers(Response("https://api.example/", headers=named), NOW)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"RateLimit": '"default";r=50;t=30',
                      "RateLimit_Policy": '"default";q=100;w=60'},
                     HeaderLimit(100, 50, 30, 60), id="draft"),
        pytest.param({"RateLimit": "limit=100, remaining=50, reset=5",
                      "RateLimit_Policy": "100;w=10"},
                     HeaderLimit(100, 50, 5, 10), id="older draft"),
        pytest.param({"RateLimit": '"burst";r=4;t=1, "daily";r=2;t=900',
                      "RateLimit_Policy": '"burst";q=5;w=1, "daily";q=1000;w=86400'},
                     HeaderLimit(1000, 2, 900, 86400), id="the strictest of two"),
        pytest.param({"RateLimit_Limit": "100, 100;w=60", "RateLimit_Remaining": "3",
                      "RateLimit_Reset": "7"}, HeaderLimit(100, 3, 7, 60), id="three headers"),
        pytest.param({"RateLimit_Limit": "10", "RateLimit_Remaining": "3", "RateLimit_Reset": "1",
                      "RateLimit_Policy": "10;w=1, 1000;w=3600"},
                     HeaderLimit(10, 3, 1, 1), id="three headers and two policies"),
        pytest.param({"RateLimit_Limit": "100", "RateLimit_Remaining": "3",
                      "RateLimit_Reset": "7", "RateLimit_Policy": "100;w=60;comment=\"fixed\""},
                     HeaderLimit(100, 3, 7, 60), id="three headers and a policy"),
        pytest.param({"RateLimit": '"d";r=50;t=30;pk=:cHNz:, "bytes";r=1;t=9',
                      "RateLimit_Policy": '"d";q=100;w=60;qu="requests", "bytes";q=9;w=9;'
                                          'qu="content-bytes"'},
                     HeaderLimit(100, 50, 30, 60), id="draft with a quota of bytes"),
        pytest.param({"X_RateLimit_Limit": "60", "X_RateLimit_Remaining": "0",
                      "X_RateLimit_Reset": "12"}, HeaderLimit(60, 0, 12), id="seconds"),
        pytest.param({"X_Rate_Limit_Limit": "60", "X_Rate_Limit_Remaining": "1",
                      "X_Rate_Limit_Reset": "12"}, HeaderLimit(60, 1, 12), id="another spelling"),
        pytest.param({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1795435260"},
                     HeaderLimit(None, 0, 60), id="Unix time"),
        pytest.param({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1795435260000"},
                     HeaderLimit(None, 0, 60), id="Unix time in milliseconds"),
        pytest.param({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1795435260",
                      "Date": DATE},
                     HeaderLimit(None, 0, 180), id="Unix time of a server that is slow"),
        pytest.param({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "1000000000"},
                     HeaderLimit(None, 0, 0), id="Unix time in the past"),
        pytest.param({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "2026-11-23T12:01:00Z"},
                     HeaderLimit(None, 0, 60), id="ISO date"),
        pytest.param({"X_RateLimit_Remaining": "0",
                      "X_RateLimit_Reset": "Mon, 23 Nov 2026 12:01:00 GMT"},
                     HeaderLimit(None, 0, 60), id="HTTP date"),
        pytest.param({"X_RateLimit_Remaining": "5", "X_RateLimit_Reset_After": "0.5"},
                     HeaderLimit(None, 5, 0.5), id="reset after"),
        pytest.param({"X_RateLimit_Limit": "5000", "X_RateLimit_Remaining": "4999",
                      "X_RateLimit_Reset": "1795438800", "X_RateLimit_Used": "1",
                      "X_RateLimit_Resource": "core"},
                     HeaderLimit(5000, 4999, 3600), id="GitHub"),
        pytest.param({"x_rate_limit_limit": "900", "x_rate_limit_remaining": "0",
                      "x_rate_limit_reset": "1795436100"},
                     HeaderLimit(900, 0, 900), id="Twitter"),
        pytest.param({"X_RateLimit_Limit_Minute": "30", "X_RateLimit_Remaining_Minute": "4",
                      "X_RateLimit_Limit_Hour": "900", "X_RateLimit_Remaining_Hour": "700"},
                     HeaderLimit(30, 4, None, 60), id="Kong"),
        pytest.param({"X_RateLimit_Limit": "50, 50;window=1, 2500;window=60",
                      "X_RateLimit_Remaining": "49, 49;window=1, 7;window=60",
                      "X_RateLimit_Reset": "1, 1;window=1, 42;window=60"},
                     HeaderLimit(2500, 7, None, 60), id="CryptoCompare"),
        pytest.param({"X_MBX_USED_WEIGHT_1M": "1200"}, None, id="Binance sends no limit"),
        pytest.param({"X_RateLimit_Remaining": "many", "X_RateLimit_Reset": "soon"}, None,
                     id="nonsense"),
        pytest.param({"X_RateLimit_Limit": "-5"}, None, id="negative"),
        pytest.param({"X_RateLimit_Limit": "9" * 30, "RateLimit": ";;=,"}, None, id="hostile"),
    ],
)  # fmt: skip
def test_limit_is_read(headers, expected):
    assert told(**headers) == expected


@pytest.mark.parametrize("kind", list(LIMITS))
@pytest.mark.parametrize("style", [style for style in STYLES if style != "none"])
def test_every_style_of_the_sandbox_is_understood(style, kind):
    limit = LIMITS[kind](30, 60)
    for _ in range(30):
        limit.refused_for(1000.0)
    standing = limit.standing(1000.0)
    headers = limit_headers(style, standing, NOW.timestamp())
    read = limit_in_headers(Response("https://api.example/", headers=headers), NOW)
    assert (read.calls, read.remaining) == (30, 0)
    assert standing.reset <= read.reset < standing.reset + 1
