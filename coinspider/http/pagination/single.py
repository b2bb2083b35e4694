"""A list that comes as one page."""

from dataclasses import dataclass

from coinspider.http.pagination.protocol import AnsweredPage, Step
from coinspider.http.pagination.request import PageRequest


@dataclass(frozen=True)
class SinglePage:
    """All records on one page; if the page says that there is more, the crawl fails."""

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        return Step(end="the list is said to have one page")
