"""What a page itself says about other pages, under the names that APIs use."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from coinspider.http.links import linked, parse_links
from coinspider.http.pagination import known_names
from coinspider.http.pagination.known_names import Known
from coinspider.records.json_path import Path, find_value, leaves, parse_path, path_text
from coinspider.secrets import masked

_GIVEN = Known((), (), "an argument")
UNKNOWN = Known((), (), "its name")
# The last part of a name that may be a cursor's, or say that there is more.
_MARK = re.compile(
    r"(?i)next|cursor|continu|marker|bookmark|scroll|more|truncated|last_?(evaluated|key|id)|end_?id"
)
_NOISE = str.maketrans("", "", "_-$ ")
_LIST_MAX = 10_000  # bytes: no list of links is longer
_STEPS_MAX = 3  # of a path: no name that is known has more
_DIGITS_MAX = 15


class Evidence(Enum):
    """What proves that a list has ended: a closed list, with a row each in docs/completeness.md."""

    TOTAL = "as many different records came as a total announces"
    PAGE_COUNT = "as many pages came as were announced"
    FLAG = "a flag says that there is no more"
    NO_LEAD = "the link or cursor to the next page is empty, missing or leads to its own page"
    EMPTY_PAGE = "a page after the last record is empty, twice"
    NO_SUCH_PAGE = "an error for a page after one that was not full"
    ARGUMENT = "an argument says that one page is all, and the page does not say otherwise"
    WANTED = "an argument leaves the rest out"
    OWN = "the spider's own strategy says so"


class Told(NamedTuple):
    """The evidence in the words of a page."""

    words: str
    by: Evidence


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
            places = {place for name in known.names for place in self._places.get(name, ())}
            for place in sorted(places):
                name, _, value = self.scalars[place]
                yield Sign(name, value, known)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Where in the scalars each last part of a plain name is: a page may have a million."""
        places: dict[str, list[int]] = {}
        for place, (_, plain, _) in enumerate(self.scalars):
            steps = plain.rsplit(".", _STEPS_MAX)
            for first in range(max(0, len(steps) - _STEPS_MAX), len(steps)):
                places.setdefault(".".join(steps[first:]), []).append(place)
        return places

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
        return [(path_text(p), plain_name(p), _decoded(t)) for p, t in found if _is_short(t)]

    def _in_front(self) -> Iterator[tuple[Path, Raw]]:
        """A list of two elements, where the first describes the second: the World Bank's."""
        if self.skip == (1,):
            for path, text in leaves(msgspec.json.decode(self.body, type=list[Raw])[0]):
                yield (0, *path), text


def plain_name(path: Iterable[str | int]) -> str:
    """A path as the tables of names write it: in lower case, without ``_``, ``-`` and ``$``."""
    return ".".join(str(step).translate(_NOISE).lower() for step in path)


def _is_short(text: Raw) -> bool:
    """Whether it is not a long list; a link or cursor may be of any length."""
    value = memoryview(text)
    return bytes(value[:1]) != b"[" or len(value) <= _LIST_MAX


def _decoded(text: Raw) -> Any:
    """The decoded value of a scalar or an array; ``None`` if it can't be decoded."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_known(plain: str, known: Known) -> bool:
    return any(plain == name or plain.endswith(f".{name}") for name in known.names)


def is_int(value: Any) -> bool:
    """Whether it is a number that a list can have: Python refuses texts of thousands of digits."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    is_text = isinstance(value, str) and value.isascii() and value.isdigit()
    return (is_number or is_text) and len(str(value)) <= _DIGITS_MAX


@dataclass(frozen=True)
class SignNames:
    """Where a page says how much there is, if not under the usual names.

    Each is a path in the body, or the name of a header: of the ``total`` of all records (``none``
    if a usual name means something else), of a flag that is true while there is ``more``, and of a
    flag that is true on the ``last`` page.
    """

    total: str = ""
    more: str = ""
    last: str = ""


NO_NAMES = SignNames()
_URL = r"(?i)(https?://|/|\?|[^\s?]+\?[^\s=]+=)"
_RANGE = r"[^/]*/\s*(\d{1,12})\s*$"


class Signs:
    """Each sign is looked up on demand, and only once."""

    def __init__(
        self,
        headers: Mapping[str, str],
        body: bytes,
        skip: Path | None = None,
        names: SignNames = NO_NAMES,
    ):
        self.values, self.names = NamedValues(headers, body, skip), names

    @cached_property
    def link(self) -> Sign | None:
        """The next page's URL."""
        return next(self._links(_is_url), None) or self._linked()

    def _linked(self) -> Sign | None:
        """The place of a list of links, one of which leads to the next page."""
        for name, _, value in self.values.scalars:
            if isinstance(value, list) and linked(value):
                return Sign(name, linked(value), known_names.LINK_LIST)
        return None

    @cached_property
    def no_link(self) -> str | None:
        """Says so if the place for the next page's URL is empty."""
        empty = next(self._links(lambda value: value in (None, "", False)), None)
        return f"{empty.name} is empty" if empty and not self.link and not self.cursor else None

    def _links(self, fits: Any) -> Iterator[Sign]:
        return (s for s in self.values.in_body(known_names.LINKS) if fits(s.value))

    @cached_property
    def cursor(self) -> Sign | None:
        """The cursor in the body."""
        for sign in self.values.in_body(known_names.CURSORS):
            is_echo = sign.known.names == ("offset",) and is_int(sign.value)
            if _is_cursor(sign.value) and not is_echo:
                return sign
        return None

    @cached_property
    def cursor_object(self) -> Sign | None:
        """The object whose members are the parameters of the next page."""
        for name, _, value in self.values.scalars:
            steps = name.split(".", _STEPS_MAX)  # no path: an API's names may be any text
            for known in known_names.CURSOR_OBJECTS if value is not None else ():
                for length in range(len(steps) - 1, 0, -1):
                    if is_known(plain_name(steps[:length]), known):
                        return Sign(".".join(steps[:length]), value, known)
        return None

    @cached_property
    def header_cursor(self) -> Sign | None:
        """The cursor in a header."""
        found = self.values.in_headers(known_names.HEADER_CURSORS)
        return next((sign for sign in found if sign.value), None)

    @cached_property
    def header_link(self) -> str | None:
        """The next page's URL in the header ``Link``."""
        return parse_links(self.values.headers.get("link", "")).get("next")

    @cached_property
    def more(self) -> Sign | None:
        """The flag that says that there is more, if one does."""
        if self.names.more:
            return self.values.given_flag(self.names.more, True)
        if self.names.last:
            return self.values.given_flag(self.names.last, False)
        wanted = {known_names.MORE_FLAGS: True, known_names.LAST_FLAGS: False}
        return self.values.flag(wanted | {known_names.WEAK_LAST_FLAGS: False})

    @cached_property
    def says_last(self) -> str | None:
        """Says so if a flag says that there is no more."""
        if name := self.names.more or self.names.last:
            return None if self.more else f"{name} says so"
        flag = self.values.flag({known_names.MORE_FLAGS: False, known_names.LAST_FLAGS: True})
        return None if flag is None or self.more else f"{flag.name} is {str(flag.value).lower()}"

    @cached_property
    def weakly_last(self) -> str | None:
        """Says so if a flag that may also mean something else says that there is no more."""
        flag = self.values.flag({known_names.WEAK_LAST_FLAGS: True})
        return None if flag is None or self.more else f"{flag.name} is true"

    @cached_property
    def totals(self) -> list[Sign]:
        """The total number of records."""
        if self.names.total:
            told = self.values.given(self.names.total)
            return [told._replace(value=int(told.value))] if is_int(told.value) else []
        values, of_headers = self.values, known_names.HEADER_TOTALS
        of_body = (s for s in values.in_body(known_names.TOTALS) if not self._is_lower_bound(s))
        found = [*of_body, *values.in_headers(of_headers)]
        if content_range := re.match(_RANGE, values.headers.get("content-range", "")):
            found.append(Sign("Content-Range", content_range[1], of_headers[0]))
        return [s._replace(value=int(s.value)) for s in found if is_int(s.value)]

    @cached_property
    def estimates(self) -> list[Sign]:
        """Totals that are no evidence: estimates, and what the list has at least."""
        found = self.values.in_body(known_names.ESTIMATES)
        least = (s for s in self.values.in_body(known_names.TOTALS) if self._is_lower_bound(s))
        return [s._replace(value=int(s.value)) for s in (*found, *least) if is_int(s.value)]

    def _is_lower_bound(self, sign: Sign) -> bool:
        """Whether a total is what there is at least, as Elasticsearch says it."""
        around, dot, _ = sign.name.rpartition(".")
        return f"{around}{dot}relation" in self._least

    @cached_property
    def _least(self) -> set[str]:
        return {name for name, _, value in self.values.scalars if value == "gte"}

    @cached_property
    def marks(self) -> list[Sign]:
        """What may lead on, by its name, though no table has it: a cursor, a token, a flag."""
        named = (
            (name, value)
            for name, plain, value in self.values.scalars
            if _MARK.search(name.rpartition(".")[2]) and not plain.endswith("previous")
        )
        return [
            Sign(name, value, UNKNOWN)
            for name, value in named
            if value not in (None, "", False, 0, "0") and not isinstance(value, (list, dict))
        ]

    @cached_property
    def pages(self) -> Sign | None:
        """The total number of pages."""
        return self.values.number(known_names.PAGE_COUNTS, known_names.HEADER_PAGE_COUNTS)

    @cached_property
    def page(self) -> Sign | None:
        """The number of this page."""
        return self.values.number(known_names.PAGE_ECHOES, known_names.HEADER_PAGE_ECHOES)

    @cached_property
    def offset(self) -> Sign | None:
        """The offset of this page."""
        return self.values.number(known_names.OFFSET_ECHOES, ())

    @cached_property
    def no_cursor(self) -> str | None:
        """Says so if the place for a cursor is empty."""
        if self.link or self.cursor or self.cursor_object:
            return None
        for sign in self.values.in_body(known_names.CURSORS):
            is_weak = plain_name((sign.name.rpartition(".")[2],)) in known_names.WEAK_NAMES
            if sign.value in (None, "") and not is_weak:
                return f"{sign.name} is empty"
        return None

    @cached_property
    def told(self) -> Told | None:
        """What says on any page that it is the last one."""
        if self.says_last:
            return Told(self.says_last, Evidence.FLAG)
        return Told(self.no_link, Evidence.NO_LEAD) if self.no_link else None

    def says_end(self, count: int) -> Told | None:
        """What says that a first page with ``count`` records is all there is; else ``None``."""
        if self.told:
            return self.told
        if self.weakly_last:
            return Told(self.weakly_last, Evidence.FLAG)
        if self.pages and self.pages.value <= 1:
            return Told(f"{self.pages.name} says {self.pages.value} pages", Evidence.PAGE_COUNT)
        if self.no_cursor and not self._counts_more(count):
            return Told(self.no_cursor, Evidence.NO_LEAD)
        # A count may be that of this page, and a round one may be the page size.
        whole = [sign for sign in self.totals if sign.name.lower() not in ("count", "size")]
        if count % 10 and whole and all(sign.value == count for sign in whole):
            return Told(f"{whole[0].name} says {count} records", Evidence.TOTAL)
        return None

    def says_more(self, count: int, number: int = 1) -> str | None:
        """What says that there is more after page ``number`` with its ``count`` records.

        A later page's totals say nothing by themselves, and its cursor may be its own.
        """
        if self.more:
            return f"{self.more.name} is {str(self.more.value).lower()}"
        if self.says_last or self.weakly_last:
            return None
        first = number == 1
        marks = (self.cursor, self.cursor_object, self.header_cursor)
        for sign in (self.link, *(marks if first else ())):
            if sign:
                return f"{sign.name} is {masked(str(sign.value))[:100]}"
        if self.header_link:
            return f"the header Link leads on to {self.header_link}"
        return self._counts_more(count) if first else None

    def _counts_more(self, count: int) -> str | None:
        if self.pages and self.pages.value > 1:
            return f"{self.pages.name} says {self.pages.value} pages"
        more = [sign for sign in (*self.totals, *self.estimates) if sign.value > count]
        return f"{more[0].name} says {more[0].value} records" if more else None


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and bool(re.match(_URL, value))


def _is_cursor(value: Any) -> bool:
    """Whether it may be a cursor: a text that is not a URL, or a number."""
    if isinstance(value, str):
        return bool(value) and not value.lower().startswith(("http://", "https://", "/", "?"))
    return isinstance(value, int) and not isinstance(value, bool)
