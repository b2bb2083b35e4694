"""The database and the parameters of its connections, from the settings."""

from typing import NamedTuple, Self

from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.store.database_url import check_url

# What the statements rely on, whatever the defaults of server, role, database and environment are.
# https://www.postgresql.org/docs/current/runtime-config-client.html
PINNED = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "array_nulls": "on",
    "bytea_output": "hex",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "extra_float_digits": "1",
    "idle_session_timeout": "0",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
}
_NAME_BYTES = 63


class DatabaseSettings(NamedTuple):
    """``DATABASE_URL`` and the settings ``POSTGRES_...`` of a connection; times are seconds."""

    url: str | None
    """``None`` for the embedded server."""
    schema: str | None
    connect_timeout: int
    statement_timeout: float
    lock_timeout: float

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Raises :exc:`ConfigurationError`."""
        url = settings.get("DATABASE_URL")
        return cls(
            url=check_url(url) if url else None,
            schema=_schema(settings.get("POSTGRES_SCHEMA")),
            connect_timeout=settings.getint("POSTGRES_CONNECT_TIMEOUT"),
            statement_timeout=seconds_setting(settings, "POSTGRES_STATEMENT_TIMEOUT"),
            lock_timeout=seconds_setting(settings, "POSTGRES_LOCK_TIMEOUT"),
        )

    def pinned(self) -> dict[str, str]:
        """The parameters of a session, by name."""
        own = {
            "statement_timeout": f"{self.statement_timeout * 1000:.0f}ms",
            "lock_timeout": f"{self.lock_timeout * 1000:.0f}ms",
        }
        return PINNED | own | ({"search_path": self.search_path} if self.schema else {})

    @property
    def search_path(self) -> str:
        """The schema as an identifier."""
        return '"{}"'.format((self.schema or "").replace('"', '""'))


def seconds_setting(settings: BaseSettings, name: str) -> float:
    """A setting that is a time in seconds. Raises :exc:`ConfigurationError`."""
    try:
        seconds = float(settings.get(name))
    except (TypeError, ValueError):
        seconds = 0
    if not 0 < seconds <= 86_400:
        raise ConfigurationError(f"{name} must be a number of seconds, more than 0")
    return seconds


def _schema(name: str | None) -> str | None:
    if not name:
        return None
    if len(name.encode()) > _NAME_BYTES or name.startswith("pg_") or "\0" in name:
        raise ConfigurationError(
            f"POSTGRES_SCHEMA={name} can't be the name of a schema: one of up to {_NAME_BYTES}"
            " bytes that does not begin with pg_"
        )
    return name
