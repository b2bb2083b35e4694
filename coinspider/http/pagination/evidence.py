"""What may stand for the end of a list."""

from coinspider.http.pagination.protocol import AnsweredPage, Step

# Sizes of a page are round; a list of 47 records that says nothing of more is rarely cut.
ROUND = 10


def absent(page: AnsweredPage, what: str, is_trace: bool = False) -> Step:
    """The step after a page that has nothing that leads on.

    That is the end where it led on before, where there is a trace of it (a null, an empty object of
    links), or where the page says so by other means. On a first page it may as well be that the
    list is paged in another way.
    """
    if page.request.number > 1:
        return Step(end=f"{what} was there before and is not now")
    if is_trace:
        return Step(end=f"{what} is there, and empty")
    if told := page.signs.says_end(len(page.records)):
        return Step(end=told)
    return Step(problem=f"the first page has no {what}")


def repeated(page: AnsweredPage, what: str) -> Step:
    """The step after a page that leads to itself: the end, for an API that keeps its cursor."""
    if page.request.number == 1 and page.records and not page.signs.says_end(len(page.records)):
        return Step(problem=f"{what} leads to the first page itself")
    return Step(end=f"{what} stays the same", overrules=True)


def is_round(count: int) -> bool:
    """Whether this number of records may be a page's size."""
    return count % ROUND == 0
