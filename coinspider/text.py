"""Texts for people to read: values, and the command to type."""

import contextlib
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TextIO

from msgspec import Raw
from msgspec.json import Encoder

from coinspider.secrets import masked

DIGITS = 6
_PLACES_MAX = 1000
# https://en.wikipedia.org/wiki/Long_and_short_scales: the short scale, as exchanges write it
_SCALES = {6: "M", 9: "B", 12: "T"}
_MILLION = 1_000_000
_NEARLY_ONE = Decimal("0.99995")  # is 1 with four digits
# Control characters, marks that change the writing direction, lone surrogates, line separators
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# They join letters and emoji.
_JOINERS = "\u200c\u200d"
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_MARKS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(f"^(?=[{_FORMULA_MARKS}\t\r\n])|(?<=[;\t\r\n])(?=[{_FORMULA_MARKS}])")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def visible(text: str) -> str:
    """Text from outside, on one line and without anything that a terminal or a log would act on.

    Invisible characters are escaped: a newline is ``\\n``, an escape sequence begins with
    ``\\x1b``. Use it wherever people read: terminal, log, message, table.
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if _is_hidden(char) else char for char in text
    )


def say(message: str) -> None:
    """One line on standard error, whatever is in it, and whether or not anybody can read it.

    The exit status says the same; a full disk behind ``2>`` must not change it.
    """
    try:
        sys.stderr.write(f"{visible(masked(message))}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        let_go(sys.stderr)


def let_go(stream: TextIO | None) -> None:
    """Let what can't be written to a stream go nowhere.

    Python would try again when it exits, complain, and end with status 120:
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def hold_streams() -> None:
    """Open what is closed of the three standard streams.

    Otherwise the next socket would get its number, and what others write there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:  # Scrapy's log takes it as it is
        sys.stderr = os.fdopen(2, "w", closefd=False)


def without_formula(text: str) -> str:
    """A cell's text that no spreadsheet takes for a formula: ``'=1+1`` for ``=1+1``.

    Also if it parts cells by semicolons or tabs, or takes a line break in a cell for a row's end.
    """
    return _FORMULA.sub("'", text)


def readable(value: object) -> str:
    """A cell's text: numbers as :func:`readable_number`, times to the second in UTC."""
    return _READABLE.get(type(value), str)(value)


def readable_number(value: Decimal) -> str:
    """Six digits, or the whole integer part; the magnitude is never lost.

    ``1234567.891`` is ``1,234,568``, ``0.000000000123456789`` is ``0.0₉123457``, ``1e24`` stays.
    """
    if not value.is_finite():
        return str(value)
    if not value:
        return "0"
    size = value.adjusted()
    if size >= 18:
        return f"{value:.{DIGITS - 1}e}".replace("e+", "e")
    rounded = round(value, max(0, DIGITS - 1 - size))
    # Rounding up may add a digit: 0.0009999999 becomes 0.001.
    size = rounded.adjusted()
    if size > -5:
        text = f"{rounded:,f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    digits = "".join(map(str, rounded.as_tuple().digits)).rstrip("0")
    sign = "-" if rounded < 0 else ""
    return f"{sign}0.0{str(-size - 1).translate(_SUBSCRIPTS)}{digits}"


_READABLE: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    Decimal: readable_number,
    float: lambda value: f"{value:.1f}",
    datetime: lambda value: (in_utc(value) or value).isoformat(" ", "seconds"),
    Raw: lambda value: bytes(value).decode(),
}


def short(value: object) -> str:
    """As :func:`readable`, an amount with two decimals: ``2.17 T``, ``647.90 B``, ``9.81e24``."""
    if not isinstance(value, Decimal):
        return readable(value)
    if not value.is_finite():
        return str(value)
    group = value.adjusted() // 3 * 3
    if abs(value) < _MILLION:
        return readable(value) if value == value.to_integral_value() else short_price(value)
    scaled = round(value.scaleb(-group), 2)
    if abs(scaled) == 1000:  # by rounding
        group, scaled = group + 3, scaled / 1000
    return f"{scaled:.2f} {_SCALES[group]}" if group in _SCALES else _power(value)


def short_price(value: Decimal) -> str:
    """Two decimals, or four digits below 1: ``89,636.00``, ``0.2177``, ``0.0₉1235``."""
    if not value.is_finite():
        return str(value)
    if value.adjusted() >= 15:
        return _power(value)
    if not value or abs(value) >= _NEARLY_ONE:
        return f"{value:,.2f}"
    rounded = round(value, 3 - value.adjusted())
    return f"{rounded:f}" if rounded.adjusted() > -5 else readable_number(rounded)


def per_cent(value: Decimal | None) -> str:
    """With a sign and only the digits that matter: ``+2.41 %``, ``-0.03 %``, ``+1,204 %``."""
    if value is None:
        return ""
    if not value.is_finite():
        return str(value)
    places = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    if value.adjusted() >= 12:
        return f"{'+' if value > 0 else ''}{short(value)} %"
    rounded = round(value, places)
    return f"{rounded:+,.{places}f} %" if rounded else f"{abs(rounded):.{places}f} %"


def exact(value: object) -> str:
    """All digits of a number, a time to the microsecond; anything else as in :func:`readable`."""
    if isinstance(value, Decimal):
        text = str(value)  # nearly always without an exponent, and three times as fast as format()
        return format(value, "f") if "E" in text and abs(value.adjusted()) < _PLACES_MAX else text
    return value.isoformat() if isinstance(value, datetime) else readable(value)


def readable_seconds(seconds: float) -> str:
    """``4.2 s``, ``3 min 20 s``, ``2 h 5 min``, ``30 d``; the second unit only if it counts."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    first = next(n for n, (size, _) in enumerate(units) if seconds >= size)
    (size, unit), (lesser, lesser_unit) = units[first], units[first + 1]
    many, rest = divmod(round(seconds / lesser) * lesser, size)
    return f"{many} {unit} {rest // lesser} {lesser_unit}" if rest else f"{many} {unit}"


def counted(number: float, noun: str) -> str:
    """``1 page``, ``2 pages``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def in_utc(value: datetime) -> datetime | None:
    """The time in UTC, naive, or as it is without a zone; ``None`` if Python can't represent it."""
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None


def _is_hidden(char: str) -> bool:
    return char not in _JOINERS and unicodedata.category(char) in _HIDDEN


def _power(value: Decimal) -> str:
    return f"{value:.2e}".replace("e+", "e")


def in_shell(arguments: Iterable[str]) -> str:
    """``-a NAME=VALUE ...`` to be typed: names and paths are an API's, and may be anything."""
    return " ".join(f"-a {shlex.quote(visible(argument))}" for argument in arguments)


# JSON whose numbers are the digits of a Decimal.
exact_json = Encoder(decimal_format="number").encode
# Python's own parser rejects integers of more than 4300 digits.
_JSON_PLACES_MAX = 1000


def exact_json_row(row: Mapping[str, object]) -> bytes:
    """A row of a table that may hold numbers JSON doesn't have, stored by others.

    NaN, infinity and numbers of more than 1000 digits become strings.
    """
    return exact_json({name: _encodable(value) for name, value in row.items()})


def _encodable(value: object) -> object:
    if not isinstance(value, Decimal) or (
        value.is_finite() and abs(value.adjusted()) <= _JSON_PLACES_MAX
    ):
        return value
    return str(value)
