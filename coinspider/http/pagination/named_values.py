"""The values of a page's body and headers, found by the names that APIs give them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from coinspider.http.pagination.known_names import Known
from coinspider.records.json_path import Path, find_value, leaves, parse_path, path_text

_GIVEN = Known((), (), "an argument")
_NOISE = str.maketrans("", "", "_-$ ")
_SCALAR_MAX = 10_000  # bytes: no cursor is longer


class Sign(NamedTuple):
    """A value of the page: its name as written, the value, and what the name is known for."""

    name: str
    value: Any
    known: Known


class NamedValues:
    """The values around a page's records; what is at ``skip`` in the body is left out."""

    def __init__(self, headers: Mapping[str, str], body: bytes, skip: Path | None = None):
        self.headers, self.body, self.skip = headers, body, skip

    def in_body(self, table: tuple[Known, ...]) -> Iterator[Sign]:
        """The values in the body with the names of a table, in the table's order."""
        for known in table:
            for name, plain, value in self.scalars:
                if is_known(plain, known):
                    yield Sign(name, value, known)

    def in_headers(self, table: tuple[Known, ...]) -> Iterator[Sign]:
        """The headers with the names of a table."""
        for name, value in self.headers.items():
            for known in table:
                if plain_name((name,)) in known.names:
                    yield Sign(name, value, known)

    def number(self, body: tuple[Known, ...], headers: tuple[Known, ...]) -> Sign | None:
        """The first integer with a name of these tables."""
        for sign in (*self.in_body(body), *self.in_headers(headers)):
            if is_int(sign.value):
                return sign._replace(value=int(sign.value))
        return None

    def given(self, name: str) -> Sign:
        """The value at a path in the body or of a header, as an argument of the crawl names it."""
        value = self.headers.get(name.lower()) or find_value(self.body, parse_path(name))
        return Sign(name, value, _GIVEN)

    def given_flag(self, name: str, wanted: bool) -> Sign | None:
        """The same for a flag, if it has the wanted value."""
        sign = self.given(name)
        is_set = sign.value not in (None, False, 0, "", "false", "False", "0")
        return sign._replace(value=is_set) if is_set is wanted else None

    def flag(self, wanted: Mapping[tuple[Known, ...], bool]) -> Sign | None:
        """The first flag that has the value wanted for its table."""
        for table, value in wanted.items():
            for sign in self.in_body(table):
                if sign.value is value:
                    return sign
        return None

    @cached_property
    def scalars(self) -> list[tuple[str, str, Any]]:
        """The scalars around the records: their names, plain names and values."""
        start = self.body.lstrip()[:1]
        found = leaves(self.body, skip=self.skip) if start == b"{" else self._in_front()
        return [(path_text(p), plain_name(p), _value(t)) for p, t in found if len(t) <= _SCALAR_MAX]

    def _in_front(self) -> Iterator[tuple[Path, Raw]]:
        """A list of two elements, where the first describes the second: the World Bank's."""
        if self.skip == (1,):
            for path, text in leaves(msgspec.json.decode(self.body, type=list[Raw])[0]):
                yield (0, *path), text


def plain_name(path: Iterable[str | int]) -> str:
    """A path as the tables of names write it: in lower case, without ``_``, ``-`` and ``$``."""
    return ".".join(str(step).translate(_NOISE).lower() for step in path)


def _value(text: Raw) -> Any:
    """The decoded value of a scalar or an array; ``None`` if it can't be decoded."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def is_known(plain: str, known: Known) -> bool:
    return any(plain == name or plain.endswith(f".{name}") for name in known.names)


def is_int(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and value.isascii() and value.isdigit())
