"""Which database connections cause a warning."""

from types import SimpleNamespace

import pytest

from coinspider.store.connection import warn_of_missing_tls


@pytest.mark.parametrize(
    ("password", "ssl", "address", "warned"),
    [
        ("secret", False, "192.0.2.1", True),
        ("secret", False, "2001:db8::1", True),
        ("secret", True, "192.0.2.1", False),
        ("", False, "192.0.2.1", False),
        ("secret", False, "127.0.0.1", False),
        ("secret", False, "::1", False),
        ("secret", False, "", False),
    ],
)
def test_password_sent_without_tls_to_another_machine_causes_a_warning(
    caplog, password, ssl, address, warned
):
    info = SimpleNamespace(password=password, hostaddr=address, host="db.example")
    warn_of_missing_tls(SimpleNamespace(info=info, pgconn=SimpleNamespace(ssl_in_use=ssl)))
    assert ("db.example is not encrypted" in caplog.text) is warned
    assert "secret" not in caplog.text
