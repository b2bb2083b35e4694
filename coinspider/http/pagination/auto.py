"""Finds out how a list is paged: from the first page, then by trying to get a second one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, get_type_hints

import msgspec

from coinspider.errors import ConfigurationError
from coinspider.http.pagination import (
    Cursor,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Pagination,
    SinglePage,
)
from coinspider.http.pagination.candidates import (
    MARKS_MAX,
    Candidate,
    all_guesses,
    candidates,
    guesses,
    marked_candidates,
    read_candidates,
)
from coinspider.http.pagination.known_names import PAGE_SIZES
from coinspider.http.pagination.protocol import (
    AnsweredPage,
    PageRequest,
    Step,
    command_arguments,
    identities,
)
from coinspider.http.pagination.signs import Evidence
from coinspider.records.json_path import find
from coinspider.text import counted, in_shell

# Requests for a second page, at most, before the crawl gives up.
TRIES_MAX = 30
THESE_ARE_ALL = "-a pagination=none if these are all"
NAME_IT = "name one with -a pagination=page (or offset, cursor) -a parameter=NAME"


@dataclass(frozen=True)
class Auto:
    """Finds the strategy from the first page; a candidate is accepted if it brings a new page.

    If the page says nothing, one request is made with all the usual parameters at once. That they
    change nothing does not prove that the page is the whole list, however short it is.
    """

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        if not page.records:
            return Step(end="the first page is empty", by=Evidence.EMPTY_PAGE)
        found = candidates(page)
        if not found and (told := page.signs.says_end(len(page.records))):
            return Step.ended(told)
        known = identities(page)
        said, marks = page.signs.says_more(len(page.records)), page.signs.marks
        if len(marks) > MARKS_MAX:  # too many to be tried
            said = said or f"{len(marks)} fields sound as if there were more"
        found = found or marked_candidates(page)
        if not found:
            probe = _Probe(known, tuple(guesses(page)), said, _advice_about_one(page))
            return Step((replace(all_guesses(page), strategy=probe),))
        tried = _distinct([*found, *guesses(page)])
        one = _advice_about_one(page)
        return _Trial(known, tried, said, advice=_advice(found), one=one).next_request()


@dataclass(frozen=True)
class FirstPage:
    """Finds out whether pages count from 0 or 1; the first is requested without a number."""

    strategy: PageNumber

    def first(self, request: PageRequest) -> PageRequest:
        return self.strategy.with_limit(request)

    def following(self, page: AnsweredPage) -> Step:
        if not page.records:
            return Step(end="the first page is empty", by=Evidence.EMPTY_PAGE)
        if told := page.signs.says_end(len(page.records)):
            return Step.ended(told)
        echo = page.signs.page
        given = page.request.parameter(self.strategy.parameter)
        firsts = [echo.value] if echo and echo.value in (0, 1) else [0, 1]
        firsts = [int(given)] if given and given.isdecimal() else firsts
        made = [replace(self.strategy, first_page=first) for first in firsts]
        tried = [Candidate(s, "it was asked for", s.page(page.request, 2)) for s in made]
        known = identities(page)
        name, one = self.strategy.parameter, _advice_about_one(page)
        return _Trial(known, tuple(tried), named=name, one=one).next_request()


@dataclass(frozen=True)
class _Probe:
    """Handle the response to all the usual parameters at once."""

    takes_errors: ClassVar[bool] = True
    is_trial: ClassVar[bool] = True
    known: frozenset[object]
    guesses: tuple[Candidate, ...]
    says_more: str | None
    advice: str

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def following(self, page: AnsweredPage) -> Step:
        if page.error or (page.records and not _is_known(page, self.known)):
            trial = _Trial(self.known, _distinct(self.guesses), self.says_more, one=self.advice)
            step = replace(trial, refused=page.error or None).next_request()
            # All of them are guesses.
            return replace(step, is_repeat=True, strategy=None)
        if self.says_more:
            problem = f"{self.says_more}, but none of the usual parameters brings another page"
            return Step(problem=f"{problem}: {NAME_IT}", is_repeat=True)
        found = f"the first page has {counted(len(self.known), 'record')} and doesn't mention more"
        return Step(problem=f"{found}: {self.advice}", is_repeat=True)


@dataclass(frozen=True)
class _Trial:
    """Handle the response to the first candidate's request for the second page."""

    takes_errors: ClassVar[bool] = True
    is_trial: ClassVar[bool] = True
    known: frozenset[object]
    candidates: tuple[Candidate, ...]
    says_more: str | None = None
    """What the first page says about further pages, which no guess can overrule."""
    named: str = ""
    """The parameter, if an argument of the crawl names it."""
    advice: str = NAME_IT
    """What may help if all of them fail."""
    one: str = ""
    """What may help if these are all."""
    refused: str | None = ""
    """What the API said of all candidates so far; ``None`` if it answered one with a page."""

    def first(self, request: PageRequest) -> PageRequest:
        return request

    def next_request(self) -> Step:
        if not self.candidates:
            return Step(problem=self._problem())
        likely, *_ = self.candidates
        return Step((replace(likely.second, strategy=self),), strategy=likely.strategy)

    def following(self, page: AnsweredPage) -> Step:
        candidate, *others = self.candidates
        is_nothing = not page.records and candidate.is_guess
        is_end = page.error and self.named and not others
        if (page.error and not is_end) or is_nothing or _is_known(page, self.known):
            refused = None if self.refused is None else page.error or None
            left = replace(self, candidates=tuple(others), refused=refused)
            return replace(left.next_request(), is_repeat=True)
        step = candidate.strategy.following(page)
        requests = tuple(replace(r, strategy=candidate.strategy) for r in step.requests)
        return replace(step, requests=requests, strategy=candidate.strategy, note=candidate.note())

    def _problem(self) -> str:
        if self.named:
            return f"{self.named}= brings the first page again: {self.one}"
        if self.refused and not self.says_more:
            problem = f"each of the usual parameters is refused ({self.refused})"
            return f"{problem}: {self.one}"
        return f"none of the usual parameters brings a second page: {self.advice}"


def _is_known(page: AnsweredPage, known: frozenset[object]) -> bool:
    """Whether most records of a page came before: a live list changes a little meanwhile."""
    return 2 * len(identities(page) & known) > len(page.records)


def _advice_about_one(page: AnsweredPage) -> str:
    """What to do if a page may be all there is, or one of the usual size."""
    is_object = page.request.cut is not None and page.request.cut.by_key is not None
    if len(page.records) in PAGE_SIZES and not is_object:
        return f"{NAME_IT}; the pagination is none if these are all"
    return f"{THESE_ARE_ALL}, else {NAME_IT}"


def _distinct(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The candidates to try; of several with the same request, the likeliest."""
    made: dict[tuple[str, bytes, object], Candidate] = {}
    for candidate in candidates:
        second = candidate.second
        made.setdefault((second.url, second.body, second.headers), candidate)
    return tuple(made.values())[:TRIES_MAX]


def _advice(found: list[Candidate]) -> str:
    """What names a list's pagination where only the parameter of its cursor is unknown."""
    for strategy in (candidate.strategy for candidate in found):
        if isinstance(strategy, Cursor) and strategy.path_in == "body":
            where = " -a parameter_in=body" if strategy.parameter_in == "body" else ""
            path = in_shell([f"path={strategy.path}"])
            named = f"-a pagination=cursor {path} -a parameter=NAME{where}"
            return f"name its own with {named}"
    return NAME_IT


def hint(page: AnsweredPage, may_use_auto: bool) -> str:
    """What a page says about others and which arguments may read them, to append to a message.

    ``may_use_auto`` is whether ``-a pagination=auto`` is possible and was not used.
    """
    said = page.signs.says_more(len(page.records))
    read = candidates if page.request.number == 1 else read_candidates
    tried = page.request.strategy
    # What has just failed, or is what failed, is no advice.
    found = [] if isinstance(tried, (_Trial, _Probe)) or not page.records else read(page)
    found = [candidate for candidate in found if candidate.strategy != tried]
    arguments = [in_shell([text]) for c in found[:1] for text in command_arguments(c.strategy)]
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


STRATEGIES: dict[str, type[Any]] = {
    "auto": Auto,
    **{s.named: s for s in (NextLink, LinkHeader, Cursor, PageNumber, Offset, SinglePage)},
}


def strategy_arguments(name: str) -> dict[str, Any]:
    """The defaults of a strategy's arguments."""
    return {field.name: field.default for field in fields(STRATEGIES[name])}


def make_strategy(name: str, given: Mapping[str, Any]) -> Pagination:
    """The strategy of this name with these arguments, given as texts or values.

    Raises :exc:`ConfigurationError`, one line that names what is allowed.
    """
    strategy = STRATEGIES[name]
    # If it is not given, the crawl finds out whether pages count from 0 or 1.
    find_first = strategy is PageNumber and "first_page" not in given
    hints = get_type_hints(strategy)
    allowed = strategy_arguments(name)
    if unknown := sorted(given.keys() - allowed.keys()):
        raise ConfigurationError(
            f"unknown argument {', '.join(unknown)}: pagination={name} takes"
            f" {', '.join(allowed) or 'none'}"
        )
    made = strategy(**{key: _value(key, value, hints[key]) for key, value in given.items()})
    return FirstPage(made) if find_first else made


def _value(name: str, value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"wrong argument {name}={value}: {error}") from None
