"""Whether keys are in order, whatever collation the API sorts by."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

Way = Callable[[str], Any]
_NUMBERS = re.compile(r"(\d+)")
_MARKS = re.compile(r"[^a-z0-9]")


def _natural(key: str) -> list[Any]:
    return [int(part) if n % 2 else part for n, part in enumerate(_NUMBERS.split(key.lower()))]


# The ways in which databases sort texts: by their bytes; ignoring case; with all punctuation before
# letters; ignoring punctuation, as glibc's locales do; and with numbers by their value.
_WAYS: tuple[Way, ...] = (
    str,
    str.lower,
    lambda key: _MARKS.sub(" ", key.lower()),
    lambda key: _MARKS.sub("", key.lower()),
    _natural,
)


def falls(first: str, second: str) -> bool:
    """Whether the second key sorts before the first in every way.

    It never does if one is not ASCII: locales sort other letters in too many ways.
    """
    if not (first > second and first.isascii() and second.isascii()):
        return False
    return all(way(first) > way(second) for way in _WAYS)


def first_fall(keys: Sequence[str]) -> tuple[str, str] | None:
    """The first two neighbours that are certainly out of order."""
    if sorted(keys) == keys:  # nearly always, and fast
        return None
    return next(((a, b) for a, b in pairwise(keys) if falls(a, b)), None)


def stands_inside(key: str, keys: Sequence[str], below: bool = False, above: bool = False) -> bool:
    """Whether a key belongs between the first and the last of these, however they are sorted.

    With ``below`` it may also come before the first, with ``above`` after the last. The answer is
    no if they are sorted in none of the known ways.
    """
    ways = [way for way in _WAYS if _rises([way(each) for each in keys])]
    return bool(ways) and all(
        (below or way(keys[0]) < way(key)) and (above or way(key) < way(keys[-1])) for way in ways
    )


def rising_ways(pages: Sequence[Sequence[str]]) -> list[Way]:
    """The ways of sorting by which the keys rise on every page; by bytes if there is none."""
    ways = list(_WAYS)
    for page in pages:
        ways = [way for way in ways if _rises([way(key) for key in page])]
    return ways or [str]


def _rises(values: Sequence[Any]) -> bool:
    return sorted(values) == values
