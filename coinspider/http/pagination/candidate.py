"""A strategy that may be the right one for a list."""

from collections.abc import Iterator
from typing import NamedTuple

from coinspider.http.pagination.command_line import command_arguments
from coinspider.http.pagination.protocol import AnsweredPage, Pagination
from coinspider.http.pagination.request import PageRequest


class Candidate(NamedTuple):
    """A strategy that the first page suggests, why, and its request for the second page."""

    strategy: Pagination
    why: str
    second: PageRequest
    is_guess: bool = False

    def note(self) -> str:
        """What was found out, for the log."""
        arguments = " ".join(f"-a {text}" for text in command_arguments(self.strategy))
        return f"The list is paged by {arguments} ({self.why})"


def suggest(page: AnsweredPage, strategy: Pagination, why: str) -> Iterator[Candidate]:
    """The candidate for a strategy, if the strategy finds a second page."""
    for second in strategy.following(page).requests[:1]:
        yield Candidate(strategy, why, second)


def in_body(page: AnsweredPage, name: str) -> str:
    """A parameter's place in a GraphQL query; the parameter itself elsewhere."""
    return f"variables.{name}" if b'"variables"' in page.request.body else name
