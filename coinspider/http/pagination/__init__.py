"""How a paginated list is read to its end.

A strategy (:class:`Pagination`) is a frozen value. ``registry`` has all of them by name.
"""

from coinspider.http.pagination.cursor import Cursor
from coinspider.http.pagination.links import LinkHeader, NextLink
from coinspider.http.pagination.look_ahead import IN_SEQUENCE, LookAhead
from coinspider.http.pagination.numbered import Offset, PageNumber
from coinspider.http.pagination.protocol import AnsweredPage, Pagination, Step
from coinspider.http.pagination.request import PageRequest, SignNames
from coinspider.http.pagination.single import SinglePage

__all__ = [
    "IN_SEQUENCE",
    "AnsweredPage",
    "Cursor",
    "LinkHeader",
    "LookAhead",
    "NextLink",
    "Offset",
    "PageNumber",
    "PageRequest",
    "Pagination",
    "SignNames",
    "SinglePage",
    "Step",
]
