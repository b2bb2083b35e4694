"""A place in a JSON text, such as ``data.items``; what is found there stays as it was written.

Libraries for paths (JMESPath, JSONPath) work on decoded values, and a decoded number loses digits.
"""

import re
from collections.abc import Iterator
from typing import Any

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
    """The steps of names, dots and ``[n]``; an empty one is the text itself.

    ``hits.total.value``, ``[1]`` (the second of a list), ``rows[-1].id``. A name that has a dot in
    it (``@odata.nextLink``) is found as it is; one with other marks may stand in quotes. Raises
    :exc:`ConfigurationError` for anything else.
    """
    path: list[str | int] = []
    position = 0
    while position < len(expression):
        step = _STEP.match(expression, position)
        if step is None:
            raise ConfigurationError(
                f"{expression} is not a path of names, dots and [n], as data.items"
            )
        index, name = step["index"], step["quoted"] or step["name"]
        path.append(int(index) if index else name)
        position = step.end()
    return tuple(path)


def path_text(path: Path) -> str:
    """The expression of a path, for a message."""
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
    """One step down, which is taken off the front; a name may itself have dots in it."""
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


def find_value(text: bytes | Raw, path: Path) -> Any:
    """The value at ``path``; ``None`` if there is nothing."""
    found = find(text, path)
    try:
        return None if found is None else _decode(found)
    except (msgspec.DecodeError, RecursionError):
        return None


def leaves(
    text: bytes | Raw, depth: int = 4, path: Path = (), skip: Path | None = None
) -> Iterator[tuple[Path, Raw]]:
    """Each value below an object that is itself no object, with its path; arrays as a whole.

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
