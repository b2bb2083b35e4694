"""The keys of records: read before anything else, and those that a crawl has seen."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw

from coinspider.records.table_item import Column, TableItem, columns

# The value of a record's key field, or a tuple of the values of several.
Key = str | int | tuple[str | int, ...]
T = TypeVar("T", bound=Key)


class _Reader(NamedTuple):
    """What is needed to read the keys of an item's records, computed once."""

    fields: tuple[str, ...]
    json_keys: tuple[str, ...]
    values: Callable[[object], Any]
    """The value of the one field, or a tuple of those of several."""
    decode: Callable[[bytes], list[object]]


def key_columns(item_class: type[TableItem], constants: Mapping[str, object]) -> list[Column]:
    """The columns of the primary key whose values are in the records."""
    return [c for c in columns(item_class) if c.primary_key and c.name not in constants]


# Characters; CoinGecko's CDN and other servers refuse URLs of more than about 8,000.
_CALL_LENGTH_MAX = 6_000


def in_calls(keys: Sequence[T], most: int) -> Iterator[list[T]]:
    """The keys in groups of up to ``most`` that one call can name in its URL."""
    group: list[T] = []
    length = 0
    for key in keys:
        size = len(quote(str(key))) + 1
        if group and (len(group) == most or length + size > _CALL_LENGTH_MAX):
            yield group
            group, length = [], 0
        group.append(key)
        length += size
    if group:
        yield group


def record_keys(
    texts: Sequence[Raw], item_class: type[TableItem], constants: Mapping[str, object]
) -> list[Key | None]:
    """The key of each record; ``None`` if it can't be read."""
    reader = _reader(item_class, frozenset(constants))
    try:
        found = reader.decode(b"[" + b",".join(texts) + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [_spoiled_key(text, reader.json_keys) for text in texts]
    if len(reader.fields) > 1:
        return [_key(reader.values(record)) for record in found]
    keys = list(map(reader.values, found))
    # Nearly all pages are like this; checking each key by itself would take ten times as long.
    if set(map(type, keys)) == {str} and (text := "".join(keys)).isascii() and text.isprintable():
        return keys
    return [_key((key,)) for key in keys]


@cache
def _reader(item_class: type[TableItem], constants: frozenset[str]) -> _Reader:
    own = key_columns(item_class, dict.fromkeys(constants))
    fields = [(c.name, Any, msgspec.field(name=c.json_key, default=None)) for c in own]
    struct: Any = msgspec.defstruct("Keys", fields)
    return _Reader(
        fields=tuple(c.name for c in own),
        json_keys=tuple(c.json_key for c in own),
        values=attrgetter(*(c.name for c in own)),
        decode=msgspec.json.Decoder(list[struct]).decode,
    )


def _spoiled_key(text: Raw, json_keys: Sequence[str]) -> Key | None:
    """The key of a record that may not even be JSON."""
    try:
        record = json.loads(str(memoryview(text), "utf-8", "replace"))
        return _key(tuple(record[key] for key in json_keys))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _key(values: tuple[object, ...]) -> Key | None:
    found = tuple(
        _storable(value) if isinstance(value, str) else value
        for value in values
        if isinstance(value, str | int)
    )
    if len(found) < len(values):
        return None
    return found if len(found) > 1 else found[0]


def _storable(text: str) -> str:
    """The text as PostgreSQL can store it; a key that is stored already is not changed."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


_MEMORY = 1024 * 1024  # bytes: the keys of some 60,000 coins
# A page whose keys lie among those of more pages than this belongs to a list in no order.
_PAGES_COMPARED = 4
_encode = msgspec.json.encode
_decode = msgspec.json.decode


class _Line:
    """Where the keys of a page are in the file, and between which keys they lie."""

    __slots__ = ("first", "last", "length", "offset")

    def __init__(self, marks: Sequence[str], offset: int, length: int):
        self.first, self.last = min(marks), max(marks)
        self.offset, self.length = offset, length

    def may_hold(self, first: str, last: str) -> bool:
        return self.first <= last and first <= self.last


class SeenKeys:
    """The keys of a crawl's records, as JSON with a line for each page; in a file if they are many.

    A crawl's memory should not grow with them. For a list in key order, only the first and last key
    of each page are remembered; for any other list a number for each key, which takes 70 bytes.
    """

    def __init__(self) -> None:
        self.file = SpooledTemporaryFile(_MEMORY)  # noqa: SIM115 (close() does it)
        self.lines: list[_Line] = []
        self.greatest = ""
        self.size = 0
        self.count = 0
        """The number of different keys."""
        self.numbers: set[int] | None = None
        self.incomplete: str | None = None
        """Why not all keys are here, if so."""
        self.awaited: set[Any] = set()
        """Keys of rows that are marked as delisted, whose mark is removed if they come back."""
        self.returned: set[Any] = set()

    def add(self, keys: Sequence[Key | None]) -> list[bool]:
        """Note the keys of a page, and return for each whether it came before."""
        repeated = self.repeated(keys)
        known = [key for key in keys if key is not None]
        if len(known) < len(keys):
            self._lose("one record does not say whose it is")
        self.count += len(known) - sum(repeated)
        if known:
            self._keep(known)
            if self.awaited:
                self.returned |= self.awaited.intersection(known)
        return repeated

    def repeated(self, keys: Sequence[Key | None]) -> list[bool]:
        """For each key of a page, whether it came before, on this page or an earlier one."""
        marks = _marks(keys)
        known = [mark for mark in marks if mark]
        if not known:
            return [False] * len(keys)
        before = self._before(known)
        if not before and len(set(known)) == len(known):
            return [False] * len(keys)
        found = []
        for mark in marks:
            found.append(bool(mark) and mark in before)
            before.add(mark)
        return found

    def has_all(self, keys: Sequence[Key | None]) -> bool:
        """Whether a page holds nothing new; looking at its first record is nearly always enough."""
        return all(self.repeated(keys[:1])) and all(self.repeated(keys))

    def around(self, first: Key, last: Key, turn: int = 0) -> list[Key]:
        """A key before the first, one between the two and one after the last, if there are such.

        Another ``turn`` chooses others, if there are any.
        """
        low, high = _mark(first), _mark(last)
        before = [line for line in self.lines if line.first < low]
        after = [line for line in self.lines if line.last > high]
        chosen = [
            self._pick(before, turn, lambda mark: mark < low),
            self._pick(self.lines, turn, lambda mark: low < mark < high),
            self._pick(after, turn, lambda mark: mark > high),
        ]
        return [key for key in chosen if key is not None]

    def pages(self) -> Iterator[list[Key]]:
        """The keys of each page."""
        return map(self._keys, self.lines)

    def read(self) -> Iterator[bytes]:
        """The keys in their order: JSON values with commas between them, a line for each page."""
        self.file.seek(0)
        yield from self.file
        self.file.seek(self.size)

    def close(self) -> None:
        self.file.close()

    def _before(self, marks: Sequence[str]) -> set[str]:
        """Those of the marks, and maybe others, that came on earlier pages."""
        if self.numbers is None and marks[0] > self.greatest and min(marks) > self.greatest:
            return set()
        if self.numbers is None:
            first, last = min(marks), max(marks)
            near = [line for line in self.lines if line.may_hold(first, last)]
            if len(near) <= _PAGES_COMPARED:
                return {mark for line in near for mark in self._marks(line)}
            self.numbers = {hash(mark) for line in self.lines for mark in self._marks(line)}
        return {mark for mark in marks if hash(mark) in self.numbers}

    def _pick(self, lines: Sequence[_Line], turn: int, fits: Callable[[str], bool]) -> Key | None:
        if not lines:
            return None
        keys = [key for key in self._keys(lines[turn % len(lines)]) if fits(_mark(key))]
        return keys[turn % len(keys)] if keys else None

    def _marks(self, line: _Line) -> list[str]:
        return _marks(self._keys(line))

    def _keys(self, line: _Line) -> list[Key]:
        self.file.seek(line.offset)
        keys = _decode(b"[" + self.file.read(line.length) + b"]")
        self.file.seek(self.size)
        return [tuple(key) if isinstance(key, list) else key for key in keys]

    def _keep(self, keys: Sequence[Key]) -> None:
        marks = _marks(keys)
        text = _encode(keys)[1:-1] + b"\n"
        try:
            self.file.write(text)
            self.file.flush()
        except OSError as error:
            self._lose(f"there is no room for a file of their keys: {error}")
            return
        self.lines.append(_Line(marks, self.size, len(text)))
        self.size += len(text)
        self.greatest = max(self.greatest, self.lines[-1].last)
        if self.numbers is not None:
            self.numbers.update(map(hash, marks))

    def _lose(self, reason: str) -> None:
        self.incomplete = self.incomplete or reason


def _marks(keys: Sequence[Key | None]) -> list[str]:
    """Nearly all keys are texts, which stand for themselves."""
    is_plain = set(map(type, keys)) == {str}
    return list(keys) if is_plain else list(map(_mark, keys))  # type: ignore[arg-type]


def _mark(key: Key | None) -> str:
    """A text for a key, different for each; empty if there is none."""
    if isinstance(key, str):
        return key
    return "" if key is None else "\0" + _encode(key).decode()
