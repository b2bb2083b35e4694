"""A place in a JSON text, such as ``data.items``."""

from typing import Any

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from msgspec import Raw

from coinspider.errors import ConfigurationError, PageError
from coinspider.records.record import cut_object, split_page

Path = tuple[str, ...]


def parse_path(expression: str) -> Path:
    """The keys of a JMESPath expression of names and dots; an empty one is the text itself.

    What else JMESPath can do would have to decode the numbers on the way, and lose digits.
    Raises :exc:`ConfigurationError` for that, and for what is no expression at all.
    """
    if not expression:
        return ()
    try:
        tree: Any = jmespath.compile(expression).parsed
    except JMESPathError:
        tree = {"type": "no expression"}
    fields = tree["children"] if tree["type"] == "subexpression" else [tree]
    if any(field["type"] != "field" for field in fields):
        raise ConfigurationError(f"{expression} is not a path of names and dots, as data.items")
    return tuple(field["value"] for field in fields)


def find(text: bytes | Raw, path: Path) -> bytes | Raw | None:
    """The JSON text at ``path``; ``None`` where there is nothing."""
    for key in path:
        fields = cut_object(bytes(text))
        if fields is None or key not in fields:
            return None
        text = fields[key]
    return text


def find_value(text: bytes, path: Path) -> Any:
    """The value at ``path``; ``None`` where there is nothing."""
    found = find(text, path)
    try:
        return None if found is None else msgspec.json.decode(found)
    except msgspec.DecodeError:
        return None


def split_records(body: bytes, path: Path) -> list[Raw]:
    """The texts of the records at ``path``, or of the bare list where a page is one.

    Raises :exc:`PageError` where there is none.
    """
    if body.lstrip().startswith(b"["):
        path = ()
    found = find(body, path)
    if found is None:
        raise PageError(f"no records at {'.'.join(path)}")
    return split_page(bytes(found))
