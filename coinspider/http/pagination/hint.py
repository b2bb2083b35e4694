"""Advice for a list that a crawl can't follow."""

from coinspider.http.pagination.command_line import command_arguments
from coinspider.http.pagination.detection import candidates, read_candidates
from coinspider.http.pagination.protocol import AnsweredPage
from coinspider.records.json_path import find


def hint(page: AnsweredPage, may_use_auto: bool) -> str:
    """What a page says about others and which arguments may read them, to append to a message.

    ``may_use_auto`` is whether ``-a pagination=auto`` is possible and was not used.
    """
    said = page.signs.says_more(len(page.records))
    read = candidates if page.request.number == 1 else read_candidates
    found = read(page) if page.records else []
    arguments = [f"-a {text}" for c in found[:1] for text in command_arguments(c.strategy)]
    if not arguments and _is_search(page):
        arguments = ["-a 'body={}', which is sent by POST"]
    # auto tries all parameters that a cursor of this name may have.
    ways = ["-a pagination=auto"] if said and may_use_auto else []
    ways += [" ".join(arguments)] if arguments else []
    hint = f"; the page says that {said}" if said else ""
    return f"{hint}; try {', or '.join(ways)}" if ways else hint


def _is_search(page: AnsweredPage) -> bool:
    """Whether the records look like hits of a search that only POST can continue."""
    is_sorted = bool(page.records) and find(page.records[-1], ("sort",)) is not None
    return is_sorted and not page.request.body
