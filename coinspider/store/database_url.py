"""Where the database is: ``DATABASE_URL``, and the settings of its connections."""

import os
import re
from typing import NamedTuple, Self
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError
from coinspider.setting_kinds import number

_FORM = "postgresql://user:password@host:port/database"
_ASSIGNMENT = re.compile(r"(?:export\s+)?DATABASE_URL\s*=\s*")
# SQLAlchemy's scheme names the driver, too.
_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"((?:jdbc:)?[a-z][a-z0-9+.-]{0,20})://", re.IGNORECASE)
# What follows the last @ of a URL: hosts with their ports, a database, parameters.
_AFTER_USER = re.compile(r"[\w.\-:,%\[\]]*(?:/[^/@?]*)?(?:\?[^@]*)?")
_RESERVED = re.compile(r"[@/?#\[\]\s:]")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
_PARAMETER = re.compile(r'invalid URI query parameter: "([a-z_]{1,30})"')
_ENCODE = (
    "percent-encode the password (@ is %40, : %3A, / %2F, ? %3F, # %23, % %25, a space %20):"
    ' python -c "import urllib.parse as u; print(u.quote(input(), safe=str()))"'
)


def check_url(text: str) -> str:
    """The URL, or ``key=value`` pairs, that this text stands for.

    Quotes around it, a line break after it, ``export DATABASE_URL=`` before it, a scheme that names
    a driver, and a password that is not percent-encoded are put right where only one meaning is
    possible. Raises :exc:`ConfigurationError` for anything else that libpq does not take.
    """
    given = _unwrap(text)
    scheme = _SCHEME.match(given)
    if scheme:
        given = _with_encoded_user(given[scheme.end() :])
    elif other := _OTHER_SCHEME.match(given):
        raise _error(f"it begins with {other[1]}://, which is not PostgreSQL's: {_FORM}")
    parts = _parts(given, is_url=bool(scheme))
    for port in str(parts.get("port") or "").split(","):
        if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise _error(f"its port is not a number from 1 to 65535; or {_ENCODE}")
    return given


def describe(url: str) -> str:
    """Name the database a URL points to, without its password."""
    parts = conninfo_to_dict(check_url(url))
    if service := parts.get("service"):
        return f"of the service {service}"
    hosts = str(parts.get("host") or "localhost").split(",")
    ports = str(parts.get("port") or "5432").split(",")
    ports *= len(hosts) if len(ports) == 1 else 1
    places = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=False))
    return f"{parts.get('dbname') or parts.get('user') or ''} on {places}"


def for_programs(url: str) -> tuple[str, dict[str, str]]:
    """The URL without its password, and the environment with it, for PostgreSQL's programs.

    Other users of the machine see a command's arguments, but not its environment.
    """
    password = conninfo_to_dict(url).get("password")
    return make_conninfo(url, password=None), os.environ | (
        {"PGPASSWORD": str(password)} if password else {}
    )


def _error(reason: str) -> ConfigurationError:
    return ConfigurationError(f"DATABASE_URL can't be read: {reason}")


def _unwrap(text: str) -> str:
    given = _ASSIGNMENT.sub("", text.strip(), count=1)
    if len(given) > 1 and given[0] == given[-1] and given[0] in "\"'":
        given = given[1:-1].strip()
    if not given:
        raise _error(f"it is empty: {_FORM}, or leave it unset for the embedded PostgreSQL")
    if not given.isprintable():
        raise _error("it holds a line break or a control character: it is one line")
    return given


def _with_encoded_user(rest: str) -> str:
    """A URL, from what follows its scheme, whose user and password need no more encoding."""
    user_end = max(
        (at.start() for at in re.finditer("@", rest) if _AFTER_USER.fullmatch(rest, at.end())),
        default=None,
    )
    if user_end is None:
        if "@" in rest:
            raise _error(f"what follows the last @ is not a host; {_ENCODE}")
        return f"postgresql://{rest}"
    user, colon, password = rest[:user_end].partition(":")
    encoded = f"{_encoded(user)}{colon}{_encoded(password)}"
    return f"postgresql://{encoded}{rest[user_end:]}"


def _encoded(text: str) -> str:
    """Percent-encode a text that is not. Raises if it seems to be partly."""
    is_plain = _RESERVED.search(text) or "%" in _ENCODED.sub("", text)
    if not is_plain:
        return text
    if _ENCODED.search(text):
        raise _error(f"its password is percent-encoded in parts only; {_ENCODE}")
    return quote(text, safe="")


def _parts(given: str, is_url: bool) -> dict[str, object]:
    try:
        return dict(conninfo_to_dict(given))
    except psycopg.ProgrammingError as error:
        # Its own text would repeat the value, with the password in it.
        if not is_url:
            raise _error(
                f"it is neither a URL ({_FORM}) nor key=value pairs; a value with a space in it"
                " is in single quotes"
            ) from None
        if parameter := _PARAMETER.search(str(error)):
            raise _error(_unknown_parameter(parameter[1])) from None
        raise _error(f"it is not of the form {_FORM}; {_ENCODE}") from None


def _unknown_parameter(name: str) -> str:
    if name == "schema":
        return "it has the parameter schema: set POSTGRES_SCHEMA instead"
    return f"it has the parameter {name}, which PostgreSQL's client does not know: take it out"


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
            statement_timeout=number(settings, "POSTGRES_STATEMENT_TIMEOUT"),
            lock_timeout=number(settings, "POSTGRES_LOCK_TIMEOUT"),
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


def _schema(name: str | None) -> str | None:
    if not name:
        return None
    if len(name.encode()) > _NAME_BYTES or name.startswith("pg_") or "\0" in name:
        raise ConfigurationError(
            f"POSTGRES_SCHEMA={name} can't be the name of a schema: one of up to {_NAME_BYTES}"
            " bytes that does not begin with pg_"
        )
    return name
