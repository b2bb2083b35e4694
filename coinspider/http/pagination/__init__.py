"""How a paginated list is read to its end.

A strategy (:class:`Pagination`) is a frozen value. ``registry`` has all of them by name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coinspider.http.pagination.cursor import Cursor as Cursor
    from coinspider.http.pagination.look_ahead import IN_SEQUENCE as IN_SEQUENCE
    from coinspider.http.pagination.look_ahead import LookAhead as LookAhead
    from coinspider.http.pagination.next_link import LinkHeader as LinkHeader
    from coinspider.http.pagination.next_link import NextLink as NextLink
    from coinspider.http.pagination.numbered import Offset as Offset
    from coinspider.http.pagination.numbered import PageNumber as PageNumber
    from coinspider.http.pagination.protocol import AnsweredPage as AnsweredPage
    from coinspider.http.pagination.protocol import KnownPages as KnownPages
    from coinspider.http.pagination.protocol import PageRequest as PageRequest
    from coinspider.http.pagination.protocol import Pagination as Pagination
    from coinspider.http.pagination.protocol import SinglePage as SinglePage
    from coinspider.http.pagination.protocol import Step as Step
    from coinspider.http.pagination.signs import Evidence as Evidence
    from coinspider.http.pagination.signs import SignNames as SignNames

_PLACE_OF = {
    "Cursor": "cursor",
    "LinkHeader": "next_link",
    "NextLink": "next_link",
    "IN_SEQUENCE": "look_ahead",
    "LookAhead": "look_ahead",
    "Offset": "numbered",
    "PageNumber": "numbered",
    "AnsweredPage": "protocol",
    "KnownPages": "protocol",
    "Pagination": "protocol",
    "Step": "protocol",
    "PageRequest": "protocol",
    "Evidence": "signs",
    "SignNames": "signs",
    "SinglePage": "protocol",
}
__all__ = sorted(_PLACE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Imported on demand: a spider needs one strategy, and each takes half a millisecond."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
