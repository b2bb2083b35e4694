"""How a paginated list is read to its end: a strategy (:class:`Pagination`) is a frozen value."""

from coinspider.http.pagination.next_page import Cursor as Cursor
from coinspider.http.pagination.next_page import LinkHeader as LinkHeader
from coinspider.http.pagination.next_page import NextLink as NextLink
from coinspider.http.pagination.numbered import Offset as Offset
from coinspider.http.pagination.numbered import PageNumber as PageNumber
from coinspider.http.pagination.protocol import IN_SEQUENCE as IN_SEQUENCE
from coinspider.http.pagination.protocol import AnsweredPage as AnsweredPage
from coinspider.http.pagination.protocol import KnownPages as KnownPages
from coinspider.http.pagination.protocol import LookAhead as LookAhead
from coinspider.http.pagination.protocol import PageRequest as PageRequest
from coinspider.http.pagination.protocol import Pagination as Pagination
from coinspider.http.pagination.protocol import SinglePage as SinglePage
from coinspider.http.pagination.protocol import Step as Step
from coinspider.http.pagination.signs import Evidence as Evidence
from coinspider.http.pagination.signs import SignNames as SignNames
