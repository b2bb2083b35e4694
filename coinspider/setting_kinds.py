"""What each setting and spider argument may be: its type, its unit and its range."""

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct
from scrapy.settings import BaseSettings

from coinspider.errors import ConfigurationError

YES, NO = ("1", "yes", "on", "true", "y"), ("0", "no", "off", "false", "n")
_DAY = 86_400
_FAR = 10**12


class SettingKind(NamedTuple):
    """How a setting is read, and what people are told that it may be."""

    parse: Callable[[str], object]
    """Raises :exc:`ValueError`."""
    allowed: str


def _flag(text: str) -> bool:
    if text.lower() not in (*YES, *NO):
        raise ValueError(text)
    return text.lower() in YES


def _number(least: float, most: float, allowed: str, above: bool = False) -> SettingKind:
    """A number with a fraction, from ``least``, or above it."""

    def parse(text: str) -> float:
        value = float(text)
        is_in_range = least < value <= most if above else least <= value <= most
        if not (is_in_range and text.isascii()):
            raise ValueError(text)
        return value

    return SettingKind(parse, allowed)


def _whole(least: int, most: int, allowed: str) -> SettingKind:
    def parse(text: str) -> int:
        value = int(text)
        if not (text.isascii() and text.isdecimal()) or not least <= value <= most:
            raise ValueError(text)
        return value

    return SettingKind(parse, allowed)


def _one_of(*words: str) -> SettingKind:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return SettingKind(parse, f"one of {', '.join(words)}")


FLAG = SettingKind(_flag, "yes or no")
SECONDS = _number(0, _DAY, "a number of seconds, more than 0", above=True)
SECONDS_OR_NONE = _number(0, _FAR, "a number of seconds from 0")
SHARE = _number(0, 1, "a share from 0 to 1")
DAYS = _whole(0, 999_999, "a number of days (0 to keep all)")
FROM_ONE = _whole(1, _FAR, "a whole number, 1 or more")
FROM_ZERO = _whole(0, _FAR, "a whole number, 0 or more")
TIMES = _whole(0, _FAR, "a number (0 for never)")

KINDS = {
    "POSTGRES_ENABLED": FLAG,
    "POSTGRES_BATCH_SIZE": FROM_ONE,
    "POSTGRES_CONNECT_TIMEOUT": _whole(1, _DAY, "a whole number of seconds, 1 or more"),
    "POSTGRES_STATEMENT_TIMEOUT": SECONDS,
    "POSTGRES_LOCK_TIMEOUT": SECONDS,
    "POSTGRES_RECONNECT_TIMEOUT": SECONDS_OR_NONE,
    "POSTGRES_LEASE_TIMEOUT": SECONDS,
    "CRAWL_LOG_INTERVAL": SECONDS,
    "REJECTED_RECORD_MAX": FROM_ZERO,
    "REJECTED_SHARE_MAX": SHARE,
    "COERCION_STRICT_ENABLED": FLAG,
    "DELISTED_SHARE_MAX": SHARE,
    "DELISTING_CHECK_CALLS_MAX": FROM_ZERO,
    "HISTORY_ENABLED": FLAG,
    "HISTORY_RETENTION_DAYS": DAYS,
    "CRAWL_RETENTION_DAYS": DAYS,
    "REJECTED_RETENTION_DAYS": DAYS,
    "HISTORY_HOURLY_RETENTION_DAYS": DAYS,
    "HISTORY_DAILY_RETENTION_DAYS": DAYS,
    "COINGECKO_FIRST_COINS": _whole(0, 1000, "a number of coins up to 1000 (0 for none)"),
    "AMOUNT_DIGITS_MAX": FROM_ONE,
    "BUDGET_RESERVE_SHARE": SHARE,
    "PAGINATION_REWRITE_ENABLED": FLAG,
    "PAGINATION_PAGES_MAX": FROM_ONE,
    "PAGINATION_READINGS_MAX": FROM_ONE,
    "PAGINATION_MISSING_MAX": FROM_ZERO,
    "CSV_FORMULAS_ESCAPED": FLAG,
    "PARQUET_AMOUNTS": _one_of("auto", "double", "text"),
    "RATELIMIT_ENABLED": FLAG,
    "RATELIMIT_FIRM": FLAG,
    "RATELIMIT_PERIOD": _number(0, _FAR, "a number of seconds above 0", above=True),
    "RATELIMIT_PAGE_TIMEOUT": SECONDS_OR_NONE,
    "RATELIMIT_RETRY_AFTER_MAX": SECONDS_OR_NONE,
    "RATELIMIT_BACKOFF_MAX": SECONDS_OR_NONE,
    "RATELIMIT_RETRY_TIMES": FROM_ZERO,
    "LOOKAHEAD_PAGES": FROM_ONE,
    "LOOKAHEAD_LATENCY": SECONDS_OR_NONE,
    "RETRY_TIMES": FROM_ZERO,
    "RETRY_BACKOFF": SECONDS_OR_NONE,
    "RETRY_BACKOFF_MAX": SECONDS_OR_NONE,
    "DOWNLOAD_TIMEOUT": SECONDS_OR_NONE,
    "DOWNLOAD_MAXSIZE": FROM_ZERO,
    "DOWNLOAD_VERIFY_CERTIFICATES": FLAG,
    "PROGRESS_ENABLED": _one_of("auto", *YES, *NO),
    "ALERT_FAILURES": TIMES,
    "ALERT_PERIODS": TIMES,
    "ALERT_INTERVAL": _number(
        0, _FAR, "a number of seconds between two looks, more than 0", above=True
    ),
    "STATS_DUMP": FLAG,
}


def checked(name: str, value: object) -> object:
    """A setting's value, of its type. Raises :exc:`ConfigurationError`, which names the setting."""
    kind = KINDS[name]
    try:
        return kind.parse(str(value).strip())
    except ValueError:
        raise ConfigurationError(f"{name}={value} is not {kind.allowed}") from None


def check_settings(settings: BaseSettings) -> None:
    """Give all settings their types; an empty one is not set.

    Raises :exc:`ConfigurationError`.
    """
    for name in KINDS:
        value = settings.get(name)
        if value not in (None, ""):
            settings.set(name, checked(name, value), settings.getpriority(name) or 0)


def number(settings: BaseSettings, name: str) -> float:
    """A setting that is a number. Raises :exc:`ConfigurationError`."""
    value = checked(name, settings.get(name))
    assert isinstance(value, int | float)
    return value


def whole_number(settings: BaseSettings, name: str) -> int:
    """A setting that is a whole number. Raises :exc:`ConfigurationError`."""
    return int(number(settings, name))


def from_environment(name: str, default: object = None) -> object:
    """A setting from the environment variable of its name; empty means the default.

    For a value that can't be used, the program ends with status 2 and one line: Scrapy imports the
    settings before anything could catch the error.
    """
    text = unquoted(os.environ.get(name, ""))
    if not text:
        return default
    try:
        return checked(name, text) if name in KINDS else text
    except ConfigurationError as error:
        print(f"coinspider: {error}", file=sys.stderr)  # noqa: T201 (there is no log yet)
        raise SystemExit(2) from None


def unquoted(text: str) -> str:
    """Without the quotes around it that ``docker run --env-file`` leaves there."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


ArgumentsT = TypeVar("ArgumentsT", bound=Struct)


def parse_arguments(declaration: type[ArgumentsT], given: dict[str, object]) -> ArgumentsT:
    """Read ``-a NAME=VALUE`` arguments as the fields of ``declaration``.

    The id of its job, which scrapyd gives each spider, is none of them.
    Raises :exc:`ConfigurationError`, one line that names the argument and what is allowed.
    """
    hints = get_type_hints(declaration, include_extras=True)
    given = {name: value for name, value in given.items() if name != "_job"}
    if unknown := sorted(given.keys() - hints.keys()):
        raise ConfigurationError(
            f"unknown argument {', '.join(unknown)}: allowed are {', '.join(hints)}"
        )
    for field in msgspec.structs.fields(declaration):
        if field.required and field.name not in given:
            allowed = _description(hints[field.name])
            raise ConfigurationError(f"the argument {field.name} is missing: {allowed}")
    return declaration(**{name: _parse(name, value, hints[name]) for name, value in given.items()})


def parse_pairs(name: str, text: str) -> dict[str, str]:
    """``NAME=VALUE,NAME=VALUE``, or a JSON object if a value contains a comma.

    An error does not repeat them: a value may be a key.
    """
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, str], strict=False)
        except msgspec.MsgspecError as error:
            raise ConfigurationError(f"wrong argument {name}: {error}") from None
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise ConfigurationError(
            f"wrong argument {name}: allowed is NAME=VALUE,NAME=VALUE, or a JSON object"
        )
    return {key.strip(): value.strip() for key, _, value in pairs}


def _parse(name: str, value: object, hint: object) -> Any:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError:
        raise ConfigurationError(
            f"wrong argument {name}={value}: allowed is {_description(hint)}"
        ) from None


def _description(hint: object) -> str:
    """The description in the ``Meta`` of ``Annotated[...]`` or ``Annotated[...] | None``."""
    for declared in (hint, *get_args(hint)):
        for meta in getattr(declared, "__metadata__", ()):
            if isinstance(meta, Meta) and meta.description:
                return meta.description
    return str(hint)
