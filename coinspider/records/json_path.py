"""Paths in a JSON text, such as ``data.items``; what they find is left as it was written.

Libraries for paths (JMESPath, JSONPath) work on decoded values, and decoded numbers lose digits.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import Raw

from coinspider.errors import ConfigurationError, PageError
from coinspider.records.record import cut_object, split_page

Path = tuple[str | int, ...]
_STEP = re.compile(
    r"""(?: \[ (?P<index> -? \d+ ) \] | (?:(?<!^)\.)?
        (?: "(?P<quoted> [^"]+ )" | (?P<name> [^.\[\]"]+ (?:\[(?!-?\d*\])[^\]]*\])* ) ) )""",
    re.VERBOSE,
)
_decode = msgspec.json.decode


def parse_path(expression: str) -> Path:
    """The steps of a path of names, dots and ``[n]``; the empty path is the text itself.

    ``hits.total.value``, ``[1]`` (the second of a list), ``rows[-1].id``. A name may contain a dot
    (``@odata.nextLink``); other special characters need quotes. Raises :exc:`ConfigurationError`
    for anything else.
    """
    path: list[str | int] = []
    position = 0
    while position < len(expression):
        step = _STEP.match(expression, position)
        if step is None:
            raise ConfigurationError(
                f"{expression} is not a path of names, dots and [n], such as data.items"
            )
        index, name = step["index"], step["quoted"] or step["name"]
        path.append(int(index) if index else name)
        position = step.end()
    return tuple(path)


def path_text(path: Path) -> str:
    """The path as it is written, for a message."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def find(text: bytes | Raw, path: Path) -> bytes | Raw | None:
    """The JSON text at ``path``; ``None`` if there is nothing."""
    steps = list(path)
    while steps:
        found = _take(bytes(text), steps)
        if found is None:
            return None
        text = found
    return text


def _take(text: bytes, steps: list[str | int]) -> bytes | Raw | None:
    """Take one step and remove it from the front; a name may itself contain dots."""
    if isinstance(steps[0], int):
        return _element(text, int(steps.pop(0)))
    fields = cut_object(text)
    for count in range(1, len(steps) + 1) if fields else ():
        key = ".".join(map(str, steps[:count]))
        if fields and key in fields:
            del steps[:count]
            return fields[key]
    return None


def _element(text: bytes, index: int) -> Raw | None:
    try:
        return split_page(text)[index]
    except (PageError, IndexError):
        return None


def find_value(text: bytes | Raw, path: Path) -> object:
    """The value at ``path``; ``None`` if there is nothing."""
    found = find(text, path)
    try:
        return None if found is None else _decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def leaves(
    text: bytes | Raw, depth: int = 4, path: Path = (), skip: Path | None = None
) -> Iterator[tuple[Path, Raw]]:
    """The path and value of everything in an object that is not an object; an array is one value.

    What is at ``skip`` is left out.
    """
    fields = cut_object(bytes(text)) if depth else None
    for name, value in (fields or {}).items():
        here = (*path, name)
        if here == skip:
            continue
        if memoryview(value)[:1].tobytes() == b"{":
            yield from leaves(value, depth - 1, here, skip)
        else:
            yield here, Raw(value)
