"""Turns an API's response into a page, or says why it is not one."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
from scrapy.http import Response

from coinspider.errors import PageError
from coinspider.http.api_errors import explain_body, is_error_object, read_error
from coinspider.http.pagination import AnsweredPage, PageRequest
from coinspider.records.cutting import Cut, as_one_text, cut_records

# How often a page is requested again if a proxy's error text came in its place.
TEXT_RETRY_TIMES = 2


def read_page(
    response: Response, request: PageRequest, find_cut: Callable[[bytes], Cut] | None = None
) -> AnsweredPage:
    """The page in a response.

    Raises :exc:`PageError`, with the body's message, if it holds no records.
    """
    body = as_one_text(response.body)
    headers = {
        name.decode("latin-1").lower(): b", ".join(values).decode("latin-1")
        for name, values in response.headers.items()
    }
    if response.status == 204:
        return AnsweredPage(request, response.url, headers, b"", ())
    try:
        cut = request.cut or (find_cut(body) if find_cut else Cut())
        later = msgspec.structs.replace(cut, optional=request.number > 1 and bool(cut.path))
        records = cut_records(body, later)
    except PageError as error:
        raise _with_words(error, body, is_first=request.number == 1) from None
    request = replace(request, cut=cut)
    return AnsweredPage(request, response.url, headers, body, records)


def _with_words(error: PageError, body: bytes, is_first: bool) -> PageError:
    """The same error with the body's own words, and how many retries are worthwhile."""
    start = body.lstrip()[:1]
    if not start:
        return PageError("the body is empty")
    words = explain_body(body)
    if is_error_object(body):
        # On a later page it may pass, as a status 500 does.
        return PageError(f"the API says: {words}", 0 if is_first else None)
    if _is_json(body):
        said = read_error(body).words
        return PageError(f"{error}: it says {said}" if said else str(error), 0)
    if start in (b"{", b"["):
        return error  # cut short now, but probably complete the next time
    return PageError(f"it is not JSON but says: {words}", TEXT_RETRY_TIMES)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
