"""Finds the records in an unknown body, and what identifies one."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import msgspec
from msgspec import Raw

from coinspider.errors import PageError
from coinspider.records.cutting import KEY_COLUMN, Cut, cut_records, parse_cut
from coinspider.records.json_path import Path, find, parse_path, path_text
from coinspider.records.record import cut_object, split_page
from coinspider.text import in_shell

DEPTH = 3
_TIME = re.compile(r"\d{4}-\d\d")
_AMONG_RECORDS_MAX = 3  # scalars
_PAIRED_MAX = 20  # fields that are tried in pairs
_TRIED_MAX = 20  # fields, and objects with fields: each is looked for in all records
_decode = msgspec.json.decode
# Lists of records and what a record may be wrapped in, by the names that APIs give them; fields
# that identify a record. The likeliest first.
_LISTS = """
results data items records value hits result rows entries list objects elements content features
docs edges nodes children
"""
LISTS = tuple(_LISTS.split())
NO_LISTS = ("error", "errors", "warnings", "links", "meta_data")
WRAPPERS = ("node", "data", "_source", "attributes", "resource", "item")
_KEYS = """
id _id Id ID uuid objectID OBJECTID guid identifier key slug code symbol ticker address hash name c1
"""
KEYS = tuple(_KEYS.split())


def find_cut(body: bytes, expression: str = "") -> Cut:
    """Where the records of a body are, if no ``expression`` says so.

    Of several lists of objects, one with a usual name wins, then the longest. Without such a list,
    an object of objects counts. Raises :exc:`PageError` if there is neither.
    """
    text = body.strip()
    if expression:
        cut = parse_cut(expression)
        return _of_arrays(cut, cut_records(text, cut)[:10])
    if text.startswith(b"["):
        return _bare_list(text)
    lists = list(_lists(text))
    objects = [(path, count) for path, count in _objects(text) if count]
    if any(count for _, count in lists) or (lists and not objects):
        path, count = max(lists, key=lambda found: _likelihood(*found))
        _check_rivals(path, count, lists)
        return _unwrapped(Cut(path), text)
    if objects:
        path = max(objects, key=lambda found: found[1])[0]
        return Cut(path, by_key=KEY_COLUMN)
    raise PageError("no list of records", retry_times=0)


def _check_rivals(path: Path, count: int, lists: list[tuple[Path, int]]) -> None:
    """Raise :exc:`PageError` if other lists beside one without a usual name are about as long."""
    # An object of lists, one for each symbol, holds others on other pages.
    least = max(count, 4) if len(path) == 1 else 0
    beside = [p for p, n in lists if p[:-1] == path[:-1] and 2 * n >= least]
    if path[-1] not in LISTS and len(beside) > 1:
        names = ", ".join(map(path_text, beside))
        # One of many symbols is no list that somebody asks for.
        such = f"-a records={path_text(path) if len(path) == 1 else 'NAME'}"
        raise PageError(f"it has several lists ({names}): name one with {such}", 0)


def _bare_list(text: bytes) -> Cut:
    """The list itself; of an object and a list, which the World Bank sends, the second."""
    elements = split_page(text)
    if len(elements) == 2 and [_kind(e) for e in elements] == [b"{", b"["]:
        return Cut((1,))
    return _unwrapped(Cut(), text)


def _unwrapped(cut: Cut, body: bytes) -> Cut:
    """The cut with the path into each element, if that is little more than a wrapper."""
    elements = cut_records(body, cut)[:10]
    if (named := _of_arrays(cut, elements)) is not cut:
        return named
    fields = [cut_object(bytes(element)) or {} for element in elements]
    for name in ("node", "data"):
        if fields and all(len(f) <= 2 and _kind(f.get(name, b"")) == b"{" for f in fields):
            return msgspec.structs.replace(cut, inside=(name,))
    return cut


def _of_arrays(cut: Cut, elements: Sequence[Raw]) -> Cut:
    """The cut with names for the values, if these are arrays and not objects."""
    if not elements or _kind(elements[0]) != b"[":
        return cut
    return msgspec.structs.replace(cut, names=("c1",), header=_header(elements))


def _header(rows: Sequence[Raw]) -> bytes:
    """The first of several arrays, if it names the columns of the others.

    It has only words, and the others have numbers in one of its places.
    """
    try:
        header, *others = (_decode(row, type=list) for row in rows)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return b""
    columns = list(zip(*others, strict=False))
    has_numbers = any(not any(map(_is_word, values)) for values in columns)
    return bytes(rows[0]) if has_numbers and all(map(_is_word, header)) else b""


def word_fields(records: Sequence[Raw]) -> list[str]:
    """The fields that have words in each of these records, and in each others."""
    return [
        name
        for name, values in _values_by_field(records).items()
        if all(map(_is_word, values))
        and len(set(values)) == len(records)
        and not any(_TIME.match(str(value)) for value in values)
    ]


def _values_by_field(records: Sequence[Raw]) -> dict[str, list[object]]:
    """The scalars in the first fields of each record; none of a record that is alone."""
    if len(records) < 2:
        return {}
    cuts = [cut_object(bytes(record)) or {} for record in records]
    return {name: [_scalar(cut.get(name)) for cut in cuts] for name in list(cuts[0])[:_PAIRED_MAX]}


def key_advice(records: Sequence[Raw], cut: Cut | None) -> str:
    """Advice for records that differ although their keys are the same."""
    others = [name for name in word_fields(records) if cut is None or name not in cut.keys]
    named = in_shell([f"key={others[0] if others else 'FIELD,FIELD'}"])
    return (
        f": the key does not identify a record, name another with {named} and make the table anew"
    )


def naming_advice(records: Sequence[Raw]) -> str:
    """Which fields identify records that don't have the key: two, or the value of an array."""
    values = _values_by_field(records)
    if pair := _pair({name: found for name, found in values.items() if None not in found}):
        such = in_shell([f"key={','.join(pair)}"])
        return f"name it with -a key=NAME, or several, such as {such}"
    # BigQuery's rows are {"f": [{"v": "1"}, {"v": "x"}]}.
    inner = {field: cut_object(bytes(find(records[0], (field, 0)) or b"")) for field in values}
    places = [(field, 0, name) for field, first in inner.items() for name in first or ()]
    if place := next((place for place in places if _identifies(records, place)), None):
        return f"name it with {in_shell([f'key={path_text(place)}'])}"
    return "name it with -a key=NAME, or several with commas"


def _is_word_or_time(value: object) -> bool:
    return _is_word(value) or bool(_TIME.match(str(value)))


def _is_word(value: object) -> bool:
    return isinstance(value, str) and any(map(str.isalpha, value))


def _lists(text: bytes, path: Path = (), depth: int = DEPTH) -> Iterator[tuple[Path, int]]:
    """The lists of objects, or of lists, below an object, and how long each is."""
    for name, value in (cut_object(text) or {}).items():
        here = (*path, name)
        if name.lower() in NO_LISTS:
            continue
        if _kind(value) == b"{" and depth:
            yield from _lists(bytes(value), here, depth - 1)
        elif _kind(value) == b"[":
            elements = _split(value)
            if not elements or _kind(elements[0]) in (b"{", b"["):
                yield here, len(elements)


def _split(text: bytes | Raw) -> list[Raw]:
    try:
        return split_page(bytes(text))
    except PageError:
        return []


def _objects(text: bytes, path: Path = (), depth: int = 2) -> Iterator[tuple[Path, int]]:
    """The objects whose values are objects with the same fields, and how many they hold.

    Beside several of these, a date or a count is no record.
    """
    fields = cut_object(text) or {}
    inner = [value for value in fields.values() if _kind(value) == b"{"]
    names = [frozenset(cut_object(bytes(value)) or ()) for value in inner]
    is_all = len(inner) == len(fields) and len(inner) > 1
    is_most = len(inner) > 2 and len(fields) - len(inner) < _AMONG_RECORDS_MAX
    is_same = is_most and bool(frozenset.intersection(*names))
    if is_same or (is_all and names[0] & frozenset.union(*names[1:])):
        yield path, len(inner)
    elif depth:
        for name, value in fields.items():
            if _kind(value) == b"{":
                yield from _objects(bytes(value), (*path, name), depth - 1)


def _likelihood(path: Path, count: int) -> tuple[bool, bool, int, int]:
    name = path[-1]
    place = LISTS.index(name) if name in LISTS else len(LISTS)
    return count > 0, name in LISTS, count, -place - 100 * len(path)


def _kind(text: bytes | Raw) -> bytes:
    return memoryview(text)[:1].tobytes()


def with_keys(cut: Cut, body: bytes, wanted: Sequence[str]) -> Cut:
    """The same with a column for each key that is not a field of the record itself.

    A key may be named by its path (``CoinInfo.Id``, which becomes the column ``Id``), or be in one
    of the usual wrappers. The names in an object of records become the wanted field.
    """
    records = [record for record in cut_records(body, cut) if _is_text(record)]
    if cut.by_key is not None and wanted and not _has(records, (wanted[0],)):
        return msgspec.structs.replace(cut, by_key=wanted[0], keys=(wanted[0],))
    places = [_place(records, name) for name in wanted] or _find_key(records)
    columns = {str(place[-1]): place for place in places}
    deep = tuple(column for column in columns.items() if len(column[1]) > 1)
    return msgspec.structs.replace(cut, columns=(*cut.columns, *deep), keys=tuple(columns))


def _is_text(record: Raw) -> bool:
    """Whether it is UTF-8; anything else will be rejected, and says nothing of the others."""
    try:
        return bool(bytes(record).decode())
    except UnicodeDecodeError:
        return False


def _place(records: Sequence[Raw], name: str) -> Path:
    """Where a wanted key is; it may be in one of the record's objects."""
    path = parse_path(name)
    below: list[Path] = [(inner, name) for inner in _objects_of(records)]
    places = [(name,), path] if len(path) > 1 else [(name,), *below]
    return next((place for place in places if _has(records, place)), (name,))


def _find_key(records: Sequence[Raw]) -> list[Path]:
    """A field that all records have, with a different value in each; ``id`` if there is none.

    It may be in one of the record's objects. Where no field is one, two may be together: words
    and times, because prices and amounts change.
    """
    first = (cut_object(bytes(records[0])) if records else None) or {}
    ids = [name for name in first if name.endswith(("Id", "ID", "id"))][:_TRIED_MAX]
    top: list[Path] = [(name,) for name in (*KEYS[:9], *ids, *KEYS[9:]) if name in first]
    inner = {name: cut_object(bytes(first[name])) or {} for name in _objects_of(records)}
    below: list[Path] = [(name, key) for name in inner for key in KEYS if key in inner[name]]
    found = (path for path in (*top, *below, *_first_field(records)) if _identifies(records, path))
    single = next(found, None)
    return [single] if single else _find_pair(records) or [("id",)]


def _find_pair(records: Sequence[Raw]) -> list[Path]:
    """Two fields of words or times that together identify each of several records."""
    found = _values_by_field(records).items()
    pair = _pair({name: values for name, values in found if all(map(_is_word_or_time, values))})
    return [(name,) for name in pair]


def _pair(values: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
    """The first two fields that together have different values in each record."""
    for first, second in combinations(values, 2):
        pairs = list(zip(values[first], values[second], strict=True))
        if len(set(pairs)) == len(pairs):
            return first, second
    return ()


def _first_field(records: Sequence[Raw]) -> Iterator[Path]:
    """The first field, which is what a record is about, if it has words in each of several."""
    name = next(iter(cut_object(bytes(records[0])) or ()), None) if len(records) > 1 else None
    if name is not None:
        values = [_scalar(find(record, (name,))) for record in records]
        if all(_is_word(value) and not _TIME.match(str(value)) for value in values):
            yield (name,)


def _objects_of(records: Sequence[Raw]) -> list[str]:
    """The fields of the first record that are objects; the usual wrappers first."""
    fields = cut_object(bytes(records[0])) if records else None
    names = [name for name, value in (fields or {}).items() if _kind(value) == b"{"]
    return sorted(names, key=lambda name: name not in WRAPPERS)[:_TRIED_MAX]


def _has(records: Sequence[Raw], path: Path) -> bool:
    return bool(records) and find(records[0], path) is not None


def _identifies(records: Iterable[Raw], path: Path) -> bool:
    values = set()
    for record in records:
        value = _scalar(find(record, path))
        if value is None or value in values:
            return False
        values.add(value)
    return bool(values)


def _scalar(text: bytes | Raw | None) -> object:
    """A text or an integer; ``None`` for anything else."""
    if text is None or _kind(text) in (b"{", b"[", b"n", b"t", b"f"):
        return None
    try:
        return _decode(text, type=str | int)
    except (msgspec.MsgspecError, UnicodeError):
        return None
