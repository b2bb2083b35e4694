"""Whether keys stand in the order that an API gives them, whatever its collation."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

Way = Callable[[str], Any]
_NUMBERS = re.compile(r"(\d+)")
_MARKS = re.compile(r"[^a-z0-9]")


def _natural(key: str) -> list[Any]:
    return [int(part) if n % 2 else part for n, part in enumerate(_NUMBERS.split(key.lower()))]


# The ways in which databases sort texts: by their bytes, without regard to capitals, with all
# punctuation before letters, as if there was none (glibc's locales), and numbers by their value.
_WAYS: tuple[Way, ...] = (
    str,
    str.lower,
    lambda key: _MARKS.sub(" ", key.lower()),
    lambda key: _MARKS.sub("", key.lower()),
    _natural,
)


def falls(first: str, second: str) -> bool:
    """Whether the second sorts before the first in each way; where locales differ more it never
    does."""
    if not (first > second and first.isascii() and second.isascii()):
        return False
    return all(way(first) > way(second) for way in _WAYS)


def first_fall(keys: Sequence[str]) -> tuple[str, str] | None:
    """The first two keys of which the second is certainly out of order."""
    if sorted(keys) == keys:  # nearly always, and fast
        return None
    return next(((a, b) for a, b in pairwise(keys) if falls(a, b)), None)


def stands_inside(key: str, keys: Sequence[str], below: bool = False, above: bool = False) -> bool:
    """Whether a key belongs between the first and the last of these, however they are sorted;
    or ``below`` the first, or ``above`` the last.

    It does not where they are sorted in none of the known ways.
    """
    ways = [way for way in _WAYS if _rises([way(each) for each in keys])]
    return bool(ways) and all(
        (below or way(keys[0]) < way(key)) and (above or way(key) < way(keys[-1])) for way in ways
    )


def rising_ways(pages: Sequence[Sequence[str]]) -> list[Way]:
    """The ways in which the keys of each page rise; by their bytes if there is none."""
    ways = list(_WAYS)
    for page in pages:
        ways = [way for way in ways if _rises([way(key) for key in page])]
    return ways or [str]


def _rises(values: Sequence[Any]) -> bool:
    return sorted(values) == values
