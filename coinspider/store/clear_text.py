"""A warning if rows and password proofs travel unencrypted."""

import ipaddress
import logging
from typing import Any

from psycopg import AsyncConnection

logger = logging.getLogger(__name__)


def warn_of_clear_text(connection: AsyncConnection[Any]) -> None:
    """Warn if a connection with a password leads to another machine without TLS."""
    info = connection.info
    if info.password and not connection.pgconn.ssl_in_use and not _is_local(info.hostaddr):
        logger.warning(
            "The connection to the database on %s is not encrypted: who is in between reads and"
            " changes what is written. sslmode=verify-full in DATABASE_URL asks for TLS",
            info.host,
        )


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a Unix socket has none
        return True
