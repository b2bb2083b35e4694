"""What counts as evidence for the end of a list."""

from coinspider.http.pagination.protocol import AnsweredPage, Step

# Page sizes are round numbers: a page of 47 records that doesn't mention more is rarely cut off.
ROUND = 10


def absent(page: AnsweredPage, what: str, is_trace: bool = False) -> Step:
    """The step after a page without anything that leads to the next.

    It is the end if earlier pages had it, if the page has an empty place for it (a null, an empty
    object of links), or if the page says so in another way. On a first page, the list may also be
    paged differently.
    """
    if page.request.number > 1:
        return Step(end=f"{what} was there before and is not now")
    if is_trace:
        return Step(end=f"{what} is there, and empty")
    if told := page.signs.says_end(len(page.records)):
        return Step(end=told)
    return Step(problem=f"the first page has no {what}")


def repeated(page: AnsweredPage, what: str) -> Step:
    """The step after a page that leads to itself, which is how some APIs mark the end."""
    if page.request.number == 1 and page.records and not page.signs.says_end(len(page.records)):
        return Step(problem=f"{what} leads to the first page itself")
    return Step(end=f"{what} stays the same", overrules=True)


def is_round(count: int) -> bool:
    """Whether this number of records may be a page size."""
    return count % ROUND == 0
