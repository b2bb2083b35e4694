"""A list that comes as one page."""

from dataclasses import dataclass

from coinspider.http.pagination.protocol import AnsweredPage, Step
from coinspider.http.pagination.request import PageRequest


@dataclass(frozen=True)
class SinglePage:
    """All records on one page; a page that says that there is more fails the crawl all the same."""

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        return Step(end="the list is said to have one page")
