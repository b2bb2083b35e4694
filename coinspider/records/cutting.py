"""Cuts the records out of a page's body."""

import json
import re
from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Raw, Struct

from coinspider.errors import ConfigurationError, PageError
from coinspider.records.json_path import Path, find, parse_path, path_text
from coinspider.records.record import cut_object, split_page

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# The field that gets a record's name in an object of records, unless -a key names one.
KEY_COLUMN = "key"
_encode = msgspec.json.encode
_decode_list = msgspec.json.Decoder(list[Raw]).decode
_LINES = rb"\}\r?\n\{"
_EACH = r"^(?P<list>.*?)(?P<kind>\[\]|\.?\*)(?:\.(?P<inside>.+))?$"
_WORDS_OF_ERRORS = ("error", "errors", "message", "error_message", "detail", "Message")


class Cut(Struct, frozen=True):
    """How records are cut out of a body. Their numbers keep every digit.

    ``path`` is where the list is, ``inside`` where in each of its elements the record is
    (``data.children[].data``). With ``by_key`` the list is an object of records (``result.*``), and
    each gets its name there as the field ``by_key``. Arrays become objects with the field names
    ``names`` (by default ``c1``, ``c2`` and so on). ``columns`` are nested fields, by column name.
    """

    path: Path = ()
    inside: Path = ()
    by_key: str | None = None
    names: tuple[str, ...] = ()
    columns: tuple[tuple[str, Path], ...] = ()
    keys: tuple[str, ...] = ()
    """The fields that identify a record."""
    header: bytes = b""
    """The array before the others that names their columns: the US Census sends it."""
    optional: bool = False
    """Whether a body without the list, or with one record in its place, is still a page."""

    def expression(self) -> str:
        """What :func:`parse_cut` reads."""
        text = path_text(self.path)
        if self.by_key is not None:
            text = f"{text}.*" if text else "*"
        elif self.inside:
            text += "[]"
        return f"{text}.{path_text(self.inside)}" if self.inside else text

    def is_plain(self) -> bool:
        return not (self.inside or self.names or self.columns or self.by_key is not None)


def parse_cut(expression: str) -> Cut:
    """``results``, ``data.children[].data`` (each one's ``data``), ``result.*`` (an object)."""
    each = re.match(_EACH, expression)
    if not each or re.fullmatch(r".*\[-?\d+\]", expression):
        return Cut(parse_path(expression))
    by_key = KEY_COLUMN if each["kind"] != "[]" else None
    return Cut(parse_path(each["list"] or ""), parse_path(each["inside"] or ""), by_key)


def parse_columns(text: str) -> tuple[tuple[str, Path], ...]:
    """``price=quote.USD.price,rank=cmc_rank``: fields, and where in the record they are."""
    pairs = [pair.partition("=") for pair in filter(None, map(str.strip, text.split(",")))]
    if any(not (name and equals and place) for name, equals, place in pairs):
        raise ConfigurationError(f"columns={text}: allowed is NAME=PATH,NAME=PATH")
    return tuple((name.strip(), parse_path(place.strip())) for name, _, place in pairs)


def as_one_text(body: bytes) -> bytes:
    """A body without its byte order mark; JSON lines become a list.

    https://www.rfc-editor.org/rfc/rfc8259#section-8.1, https://github.com/ndjson/ndjson-spec
    """
    text = _without_mark(body)
    lines = text.splitlines() if text.startswith(b"{") and re.search(_LINES, text) else []
    lines = [line for line in lines if line.strip()]
    is_list = lines and all(line.startswith(b"{") for line in lines)
    return b"[" + b",".join(lines) + b"]" if is_list else text


def _without_mark(body: bytes) -> bytes:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return body.decode("utf-16").encode()
        except UnicodeDecodeError:
            return body
    return body.removeprefix(BYTE_ORDER_MARK)


def cut_records(body: bytes, cut: Cut) -> list[Raw]:
    """The texts of the records of a body.

    If the path leads nowhere, a bare list is read. Raises :exc:`PageError` if there are no records,
    or not all of them.
    """
    path = cut.path
    if body.lstrip().startswith(b"[") and not (path and isinstance(path[0], int)):
        path = ()
    found = find(body, path) if path else body
    elements = _missing(body, cut) if found is None else _elements(bytes(found), cut)
    if cut.header:
        elements = [element for element in elements if bytes(element) != cut.header]
    return elements if cut.is_plain() else [_shaped(element, cut) for element in elements]


def _missing(body: bytes, cut: Cut) -> list[Raw]:
    fields = cut_object(body)
    if cut.optional and fields is not None and not any(map(fields.get, _WORDS_OF_ERRORS)):
        return []
    raise PageError(f"no records at {path_text(cut.path)}")


def _elements(found: bytes, cut: Cut) -> list[Raw]:
    text = found.strip()
    if cut.optional and text == b"null":
        return []
    if cut.by_key is not None and text.startswith(b"{"):
        return [_keyed(key, value, cut) for key, value in _records_by_key(text).items()]
    if cut.optional and cut.path and text.startswith(b"{"):
        return [Raw(text)]
    return split_page(text)


def _records_by_key(text: bytes) -> Mapping[str, bytes | Raw]:
    """The members of an object of records, without a date or count among many of these."""
    members = cut_object(text) or {}
    kinds = {name: memoryview(value)[:1].tobytes() for name, value in members.items()}
    if 2 * list(kinds.values()).count(b"{") <= len(members):
        return members
    return {name: value for name, value in members.items() if kinds[name] in (b"{", b"[", b"n")}


def _keyed(key: str, value: bytes | Raw, cut: Cut) -> Raw:
    fields = _fields(Raw(value), cut)
    name = cut.by_key or KEY_COLUMN
    try:
        return Raw(_encode({name: key} | {k: v for k, v in fields.items() if k != name}))
    except UnicodeEncodeError:  # a name that is not UTF-8, for which the record is rejected
        spoiled = json.dumps({name: key} | dict.fromkeys(fields), ensure_ascii=False)
        return Raw(spoiled.encode("utf-8", "surrogateescape"))


def _shaped(text: Raw, cut: Cut) -> Raw:
    inner = find(text, cut.inside) if cut.inside else text
    if inner is None:
        return text
    fields = _fields(Raw(inner), cut)
    try:
        added = {name: find(text, path) or find(inner, path) for name, path in cut.columns}
        return Raw(_encode(dict(fields) | {n: Raw(v) for n, v in added.items() if v is not None}))
    except (msgspec.MsgspecError, UnicodeError):
        return text


def _fields(text: Raw, cut: Cut) -> Mapping[str, object]:
    """The fields of a record; those of an array by its names, of anything else as ``value``."""
    stripped = bytes(text).lstrip()
    if stripped.startswith(b"{"):
        return {k: Raw(v) for k, v in (cut_object(stripped) or {}).items()}
    if stripped.startswith(b"["):
        values = _list(text)
        return dict(zip(array_names(len(values), cut.names), values, strict=True))
    return {"value": text}


def _list(text: Raw) -> list[Raw]:
    try:
        return _decode_list(text)
    except (msgspec.DecodeError, RecursionError):
        return split_page(bytes(text))


def array_names(count: int, names: Iterable[str] = ()) -> list[str]:
    """The names of an array's values: those given, then ``c1``, ``c2``, ... by their place."""
    given = list(names)[:count]
    return given + [f"c{place}" for place in range(len(given) + 1, count + 1)]
