"""Whether records that did not come are gone: an API is asked for them by their keys."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coinspider.records.keys import Key, SeenKeys, in_calls

# Each call also asks for records that certainly exist, one before and one after the others: a
# response without them is wrong or cut off.
WITNESSES = 3


class Call(NamedTuple):
    """One call: the keys that did not come, and others that did."""

    keys: Sequence[Key]
    witnesses: Sequence[Key]
    answered_others: bool = False
    """Whether an answer had records that were not asked for, as it may be from a cache."""

    @property
    def names(self) -> list[Key]:
        return [*self.witnesses, *self.keys]


class Found(NamedTuple):
    """What an answer shows: a ``call`` to make instead, and ``why``; or nothing more."""

    call: Call | None = None
    why: str = ""
    is_believed: bool = False
    """Whether what came is true, so that what did not come does not exist."""


class Lookup:
    """Looks up to ``size`` keys up with each call, and remembers those that are gone."""

    def __init__(self, size: int, seen: SeenKeys, can_name: Callable[[Key], bool]):
        self.size, self.seen, self.can_name = size, seen, can_name
        self.gone: set[Any] = set()
        """The keys of known records that the API does not have, as a call has shown."""
        self.is_ignored = False
        """Whether the API returns records other than those requested by their keys."""

    def keys_a_call(self, longest: int | None = None) -> int:
        """How many keys to ask for at once, if the API gives no more than ``longest`` records."""
        size = min(self.size, longest) if longest else self.size
        return max(1, size - WITNESSES)

    def calls(self, keys: Sequence[Key], size: int) -> list[Call]:
        """The calls for those keys that a URL can name; the others stay as they are."""
        named = [key for key in keys if self.can_name(key)]
        return [self._call(part, 0) for part in in_calls(named, size)]

    def spare_unnamed(self, keys: Sequence[Key]) -> None:
        """Records that can't be asked for stay unchanged."""
        self.seen.add([key for key in keys if not self.can_name(key)])

    def take(self, call: Call, found: Sequence[Key | None], turn: int) -> Found:
        """What the keys in an answer show; ``turn`` counts the answers to this call."""
        if not set(found).issubset(call.names):
            if call.answered_others:
                self.is_ignored = True
                return Found()
            other = self._call(call.keys, turn)._replace(answered_others=True)
            return Found(other, "it has records that were not asked for")
        if not set(found).issuperset(call.witnesses):
            # The records that it should have had may be gone by now.
            other = self._call(call.keys, turn)._replace(answered_others=call.answered_others)
            why = "it does not have all records that were on the pages a moment ago"
            return Found(other, why)
        self.gone.update(set(call.keys).difference(found))
        return Found(is_believed=True)

    def _call(self, keys: Sequence[Key], turn: int) -> Call:
        """A call for these keys; another ``turn`` has other witnesses."""
        return Call(keys, self.seen.around(min(keys), max(keys), turn))
