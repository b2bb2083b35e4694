"""What a page itself says about other pages, under the names that APIs use."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from coinspider.http.pagination import known_names
from coinspider.http.pagination.known_names import Known
from coinspider.http.pagination.request import SignNames
from coinspider.records.json_path import Path, find_value, leaves, parse_path, path_text

NO_NAMES = SignNames()
_TOLD = Known((), (), "an argument")
_NOISE = str.maketrans("", "", "_-$ ")
_URL = r"(?i)(https?://|/|\?|[^\s?]+\?[^\s=]+=)"
_RANGE = r"[^/]*/\s*(\d{1,12})\s*$"
_SCALAR_MAX = 10_000  # bytes: no cursor is longer


class Sign(NamedTuple):
    """A value of the page: its name as written, the value, and what the name is known for."""

    name: str
    value: Any
    known: Known


class Signs:
    """Each sign is looked up on demand, and only once."""

    def __init__(
        self,
        headers: Mapping[str, str],
        body: bytes,
        skip: Path | None = None,
        names: SignNames = NO_NAMES,
    ):
        self.headers, self.body, self.skip, self.names = headers, body, skip, names

    @cached_property
    def scalars(self) -> list[tuple[str, str, Any]]:
        """The scalars around the records: their names, plain names and values."""
        start = self.body.lstrip()[:1]
        found = leaves(self.body, skip=self.skip) if start == b"{" else self._in_front()
        return [(path_text(p), _plain(p), _value(t)) for p, t in found if len(t) <= _SCALAR_MAX]

    def _in_front(self) -> Iterator[tuple[Path, Raw]]:
        """A list of two elements, where the first describes the second: the World Bank's."""
        if self.skip == (1,):
            for path, text in leaves(msgspec.json.decode(self.body, type=list[Raw])[0]):
                yield (0, *path), text

    @cached_property
    def link(self) -> Sign | None:
        """The next page's URL."""
        return next(self._links(_is_url), None) or self._linked()

    def _linked(self) -> Sign | None:
        """The place of a list of links, one of which leads to the next page."""
        from coinspider.http.pagination.links import linked

        for name, _, value in self.scalars:
            if isinstance(value, list) and linked(value):
                return Sign(name, linked(value), known_names.LINK_LIST)
        return None

    @cached_property
    def no_link(self) -> str | None:
        """Says so if the place for the next page's URL is empty."""
        empty = next(self._links(lambda value: value in (None, "", False)), None)
        return f"{empty.name} is empty" if empty and not self.link and not self.cursor else None

    def _links(self, fits: Any) -> Iterator[Sign]:
        return (s for s in self._named(known_names.LINKS) if fits(s.value))

    @cached_property
    def cursor(self) -> Sign | None:
        """The cursor in the body."""
        for sign in self._named(known_names.CURSORS):
            is_echo = sign.known.names == ("offset",) and _is_int(sign.value)
            if _is_cursor(sign.value) and not is_echo:
                return sign
        return None

    @cached_property
    def cursor_object(self) -> Sign | None:
        """The object whose members are the parameters of the next page."""
        for name, plain, value in self.scalars:
            for known in known_names.CURSOR_OBJECTS:
                around, _, _ = plain.rpartition(".")
                if value is not None and _is_known(around, known):
                    return Sign(name.rpartition(".")[0], value, known)
        return None

    @cached_property
    def header_cursor(self) -> Sign | None:
        return next((s for s in self._headers(known_names.HEADER_CURSORS) if s.value), None)

    @cached_property
    def header_link(self) -> str | None:
        from coinspider.http.pagination.links import parse_links

        return parse_links(self.headers.get("link", "")).get("next")

    @cached_property
    def more(self) -> Sign | None:
        """The flag that says that there is more, if one does."""
        if self.names.more:
            return self._told_flag(self.names.more, True)
        if self.names.last:
            return self._told_flag(self.names.last, False)
        wanted = {known_names.MORE_FLAGS: True, known_names.LAST_FLAGS: False}
        return self._flag(wanted | {known_names.WEAK_LAST_FLAGS: False})

    @cached_property
    def says_last(self) -> str | None:
        """Says so if a flag says that there is no more."""
        if name := self.names.more or self.names.last:
            return None if self.more else f"{name} says so"
        flag = self._flag({known_names.MORE_FLAGS: False, known_names.LAST_FLAGS: True})
        return None if flag is None or self.more else f"{flag.name} is {str(flag.value).lower()}"

    @cached_property
    def weakly_last(self) -> str | None:
        flag = self._flag({known_names.WEAK_LAST_FLAGS: True})
        return None if flag is None or self.more else f"{flag.name} is true"

    def _told(self, name: str) -> Sign:
        """The sign of a name that was given."""
        value = self.headers.get(name.lower()) or find_value(self.body, parse_path(name))
        return Sign(name, value, _TOLD)

    def _told_flag(self, name: str, wanted: bool) -> Sign | None:
        sign = self._told(name)
        is_set = sign.value not in (None, False, 0, "", "false", "False", "0")
        return sign._replace(value=is_set) if is_set is wanted else None

    def _flag(self, wanted: Mapping[tuple[Known, ...], bool]) -> Sign | None:
        for table, value in wanted.items():
            for sign in self._named(table):
                if sign.value is value:
                    return sign
        return None

    @cached_property
    def totals(self) -> list[Sign]:
        """The total number of records."""
        if self.names.total:
            told = self._told(self.names.total)
            return [told._replace(value=int(told.value))] if _is_int(told.value) else []
        found = [*self._named(known_names.TOTALS), *self._headers(known_names.HEADER_TOTALS)]
        if content_range := re.match(_RANGE, self.headers.get("content-range", "")):
            found.append(Sign("Content-Range", content_range[1], known_names.HEADER_TOTALS[0]))
        return [s._replace(value=int(s.value)) for s in found if _is_int(s.value)]

    @cached_property
    def pages(self) -> Sign | None:
        """The total number of pages."""
        return self._number(known_names.PAGE_COUNTS, known_names.HEADER_PAGE_COUNTS)

    @cached_property
    def page(self) -> Sign | None:
        """The number of this page."""
        return self._number(known_names.PAGE_ECHOES, known_names.HEADER_PAGE_ECHOES)

    @cached_property
    def offset(self) -> Sign | None:
        """The offset of this page."""
        return self._number(known_names.OFFSET_ECHOES, ())

    @cached_property
    def no_cursor(self) -> str | None:
        """Says so if the place for a cursor is empty."""
        if self.link or self.cursor or self.cursor_object:
            return None
        for sign in self._named(known_names.CURSORS):
            is_weak = _plain((sign.name.rpartition(".")[2],)) in known_names.WEAK_NAMES
            if sign.value in (None, "") and not is_weak:
                return f"{sign.name} is empty"
        return None

    def says_end(self, count: int) -> str | None:
        """What says that a first page with ``count`` records is all there is; else ``None``."""
        if told := self.says_last or self.no_link or self.weakly_last:
            return told
        if self.pages and self.pages.value <= 1:
            return f"{self.pages.name} says {self.pages.value} pages"
        if self.no_cursor and not self._counts_more(count):
            return self.no_cursor
        # A count may be that of this page, and a round one may be the page size.
        whole = [sign for sign in self.totals if sign.name.lower() not in ("count", "size")]
        if count % 10 and whole and all(sign.value == count for sign in whole):
            return f"{whole[0].name} says {count} records"
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
                return f"{sign.name} is {str(sign.value)[:100]}"
        if self.header_link:
            return f"the header Link leads on to {self.header_link}"
        return self._counts_more(count) if first else None

    def _counts_more(self, count: int) -> str | None:
        if self.pages and self.pages.value > 1:
            return f"{self.pages.name} says {self.pages.value} pages"
        more = [sign for sign in self.totals if sign.value > count]
        return f"{more[0].name} says {more[0].value} records" if more else None

    def _number(self, body: tuple[Known, ...], headers: tuple[Known, ...]) -> Sign | None:
        for sign in (*self._named(body), *self._headers(headers)):
            if _is_int(sign.value):
                return sign._replace(value=int(sign.value))
        return None

    def _named(self, table: tuple[Known, ...]) -> Iterator[Sign]:
        for known in table:
            for name, plain, value in self.scalars:
                if _is_known(plain, known):
                    yield Sign(name, value, known)

    def _headers(self, table: tuple[Known, ...]) -> Iterator[Sign]:
        for name, value in self.headers.items():
            for known in table:
                if _plain((name,)) in known.names:
                    yield Sign(name, value, known)


def _plain(path: Iterable[str | int]) -> str:
    return ".".join(str(step).translate(_NOISE).lower() for step in path)


def _is_known(plain: str, known: Known) -> bool:
    return any(plain == name or plain.endswith(f".{name}") for name in known.names)


def _value(text: Raw) -> Any:
    """The decoded value of a scalar or an array; ``None`` if it can't be decoded."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and bool(re.match(_URL, value))


def _is_int(value: Any) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number or (isinstance(value, str) and value.isascii() and value.isdigit())


def _is_cursor(value: Any) -> bool:
    """Whether it may be a cursor: a text that is not a URL, or a number."""
    if isinstance(value, str):
        return bool(value) and not value.lower().startswith(("http://", "https://", "/", "?"))
    return isinstance(value, int) and not isinstance(value, bool)
