"""What may be a secret is not shown, and what is none stays readable."""

import pytest

from coinspider.secrets import masked


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/x", "https://***@host/x"),
        ("gs://bucket/x?token=abc&a=1", "gs://bucket/x?token=***&a=1"),
        ("https://host/?api_key=abc", "https://host/?api_key=***"),
        ("https://host/?x_cg_demo_api_key=CG-1#a", "https://host/?x_cg_demo_api_key=***#a"),
        ("https://host/?a=1&apikey=abc and more", "https://host/?a=1&apikey=*** and more"),
        ("https://host/?key=abc", "https://host/?key=***"),
        ("https://host/?password=a&Signature=b", "https://host/?password=***&Signature=***"),
        ('{"X-Api-Key": "abc", "Accept": "json"}', '{"X-Api-Key": "***", "Accept": "json"}'),
        ('{"Authorization": "Bearer abc"}', '{"Authorization": "***"}'),
        ("https://host/?pageToken=abc", "https://host/?pageToken=abc"),
        ("https://host/?next_token=abc&page_key=b", "https://host/?next_token=abc&page_key=b"),
        ("https://host/?start_key=a", "https://host/?start_key=a"),
        ("https://host/?symbol=BTC&keys=1", "https://host/?symbol=BTC&keys=1"),
        ("key=symbol,exchange", "key=symbol,exchange"),
        ("me@example.com", "me@example.com"),
    ],
)
def test_masked(text, shown):
    assert masked(text) == shown
