"""Goes from page to page of a list, and decides what is asked for next, and whether it has ended.

A :class:`Walk` is given answered pages, in any order, and answers with plain values. It makes no
request and knows nothing of Scrapy: the spider does as it says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from msgspec import Raw, Struct

from coinspider.crawl.evidence import Doubt, End, PageLog, acceptance, doubt
from coinspider.crawl.key_order import PageChain
from coinspider.crawl.movement import Movement
from coinspider.crawl.reasons import Reason, page_reason
from coinspider.crawl.target import Shortage
from coinspider.http.pagination import (
    IN_SEQUENCE,
    AnsweredPage,
    Evidence,
    PageNumber,
    PageRequest,
    Pagination,
    Step,
)
from coinspider.records.keys import Key, SeenKeys

# The statuses that APIs give a page past the end, or unknown parameters.
PAST_THE_END = (400, 404, 416, 422)
# Empty pages in a row: some cursors lead across a few.
EMPTY_PAGES_MAX = 100
# Pages in a row that mostly repeat others: an API may give a live list's first page for all.
REPEATED_PAGES_MAX = 5
# What may be wrong with one page, and not with the next.
_OF_ONE_PAGE = ("page_failed", "page_too_slow", "page_spoiled")


class Again(NamedTuple):
    """A page to request again, and why; ``is_reading`` if it is read beside the list itself."""

    page: PageRequest
    why: str
    times: int = 1
    """How often it was in doubt, which it waits for; 0 for proof of what nothing speaks against."""
    is_reading: bool = False


class Answer(Struct, frozen=True):
    """What follows from a page: either the page ``again``, or the others."""

    requests: tuple[PageRequest, ...] = ()
    again: Again | None = None
    texts: Sequence[Raw] = ()
    """The records to store."""
    repeated: list[bool] | None = None
    """For each of them, whether its key came earlier."""
    is_counted: bool = False
    """Whether it is a page of the list, and not one that was requested to try something."""
    failure: Reason | None = None
    note: str | None = None
    """What was found out, for the log."""


class Verdict(NamedTuple):
    """What to do when nothing is under way: read a page again, fail, or believe the end."""

    again: Again | None = None
    failure: Reason | None = None
    is_end: bool = False
    shortage: Shortage | None = None
    remark: str | None = None


class Walk:
    """The reading of one list.

    ``seen`` holds the keys of all records so far, ``chain`` how pages join if the list is in the
    order of its keys. ``known_pages`` is how many pages the last complete crawl had, ``earlier``
    how the last one contradicted the API's total; a list that ``may_be_empty`` has ended if its
    first page is. ``came_all`` may know that all records came.
    """

    def __init__(  # noqa: PLR0913 (all by name: what it must know when it is made)
        self,
        pagination: Pagination,
        seen: SeenKeys,
        listed: PageRequest,
        *,
        chain: PageChain | None = None,
        known_pages: int | None = None,
        earlier: Shortage | None = None,
        may_be_empty: bool = False,
        checks_keys: bool = False,
        names_pagination: bool = False,
        pages_max: int = 0,
        readings_max: int = 1,
        missing_max: int = 0,
        retry_times: int = 0,
        came_all: Callable[[], str | None] = lambda: None,
    ):
        self.pagination, self.seen, self.listed = pagination, seen, listed
        self.chain, self.known_pages, self.may_be_empty = chain, known_pages, may_be_empty
        self.names_pagination, self.pages_max = names_pagination, pages_max
        self.missing_max = missing_max
        self.retry_times, self._came_all, self.earlier = retry_times, came_all, earlier
        self.checks_keys, self.movement = checks_keys, Movement(readings_max, bool(chain))
        self.log = self._new_log()
        self.found: Pagination | None = None
        """How the list is paged, if the crawl found that out."""
        self.end_reached = False
        self.expected_pages: int | None = None
        """How many pages the API itself announces."""
        self.doubted: dict[int, int] = {}
        """How often a page was requested again, because of a doubt about it."""
        self.misfits: dict[int, int] = {}
        """The keys of pages that were out of order, as a number."""
        self.missing: dict[int, Reason] = {}
        """The pages that were passed over, and why."""

    def _new_log(self) -> PageLog:
        return PageLog(contents={} if self.checks_keys else None, chain=self.chain)

    def first(self) -> PageRequest:
        listed = replace(self.listed, strategy=self.found)
        return self.strategy(listed).first(listed)

    def strategy(self, request: PageRequest) -> Pagination:
        return request.strategy or self.pagination

    def came_all(self) -> str | None:
        """The evidence that all records came, if there is any."""
        return self._came_all() or self.log.reached_total()

    def step_after(self, page: AnsweredPage) -> Step:
        """The strategy's answer, unless an empty page comes after all announced records.

        CKAN's last pages link to a next page endlessly.
        """
        if page.request.number > 1 and not page.records and (told := self.came_all()):
            return Step(end=told, by=Evidence.TOTAL)
        return self.strategy(page.request).following(page)

    def take(self, page: AnsweredPage, keys: Sequence[Key | None]) -> Answer:
        """What follows from a page whose records have these keys."""
        if why := self._error_in(page):
            if not getattr(self.strategy(page.request), "is_trial", False):
                return self._retry(page.request, why)
            page = replace(page, error=why)
        step = self.step_after(page)
        if step.is_repeat:
            failure = self._check(page, step)
            return Answer(() if failure else step.requests, failure=failure, note=step.note)
        if (reason := self._misfit(page, keys)) and (told := self.came_all()):
            # Magento gives the last page again for those after it.
            return Answer(failure=self._note_end(page, Step(end=told, by=Evidence.TOTAL)))
        if reason:
            return self._ask_for_another(page.request, reason)
        self.found = step.strategy if step.note else self.found
        failure = self._note(page, keys, step) or self._check(page, step)
        return Answer(
            () if failure else step.requests,
            texts=self._texts(page, keys),
            repeated=self._repeated(keys),
            is_counted=True,
            failure=failure,
            note=step.note,
        )

    def may_be_past_the_end(self, page: PageRequest, status: int) -> bool:
        """Whether an error on the second or a later page may mean the end of the list."""
        if page.number == 1:
            return False
        return bool(self.came_all()) or (status in PAST_THE_END and self._takes_errors(page))

    def knows(self, number: int) -> bool:
        """Whether the page of this number came."""
        return number in self.log.counts or number in self.log.ends

    def judge(self) -> Verdict:
        """Believe the end, or say which page it depends on; nothing if none was seen."""
        if self.end_reached or not self.log.ends:
            return Verdict()
        told = self.came_all()
        found = doubt(self.log, self.known_pages, self.may_be_empty, told, self.earlier)
        again = (self._beyond(found) or self._after_doubt(found)) if found else None
        if again is None and not (found and found.fails):
            again = self._second_reading() or self._check_movement()
        if again:
            return Verdict(again)
        shortage = found.shortage if found else None
        if failure := self._failure(found):
            return Verdict(failure=failure, shortage=shortage)
        self.end_reached = True
        if self.missing:
            self.seen.incomplete = "a page could not be had"
            pages = "; ".join(map(_named, self._missing_in_order()))
            words = f"without {pages}: PAGINATION_MISSING_MAX accepts it"
            return Verdict(is_end=True, remark=words)
        remark = found.reason if found and shortage else None
        return Verdict(is_end=True, shortage=shortage, remark=remark)

    def _failure(self, found: Doubt | None) -> Reason | None:
        """Why the end is not believed, when nothing is left to be read again."""
        if len(self.missing) > self.missing_max:
            return self._missing_pages()
        is_explained = bool(self.missing and found and found.shortage)
        if found and found.fails and not is_explained:
            why = found.reason + acceptance(self.log, self.found or self.pagination)
            return Reason("end_in_doubt", {"why": why})
        has_moved = self.movement.moved(self.log)
        return Reason("list_moved", {"times": self.movement.reading}) if has_moved else None

    def _missing_pages(self) -> Reason:
        first, *others = self._missing_in_order()
        said = "".join(f"; {_named(other)}" for other in others)
        figures = {**first.figures, "others": said, "missing_count": len(self.missing)}
        return Reason("pages_missing", figures)

    def _missing_in_order(self) -> list[Reason]:
        return [self.missing[number] for number in sorted(self.missing)]

    def take_reading(self, page: AnsweredPage, keys: Sequence[Key | None]) -> list[Raw]:
        """Add the second reading of a page, and return its records that did not come before."""
        number = page.request.number
        if self.chain:
            self.chain.note(number, keys)
        elif self.log.doubted != number:
            self.movement.compare(keys)
            return []  # what is new now comes with the next crawl
        self.log.doubted = None
        self.log.counts[number] = max(self.log.counts.get(number, 0), len(keys))
        return self.unseen(page, keys)

    def _texts(self, page: AnsweredPage, keys: Sequence[Key | None]) -> Sequence[Raw]:
        if self.movement.reading == 1:
            return page.records
        new = self.unseen(page, keys)
        self.movement.new += len(new)
        return new

    def unseen(self, page: AnsweredPage, keys: Sequence[Key | None]) -> list[Raw]:
        """The records of an additional page, without those that the crawl has seen."""
        repeated = self.seen.repeated(keys)
        return [
            text
            for text, key, came in zip(page.records, keys, repeated, strict=True)
            # Without a key, there is no way to tell whether it came.
            if key not in (None, "") and not came
        ]

    def _takes_errors(self, request: PageRequest) -> bool:
        return getattr(self.strategy(request), "takes_errors", False)

    def _hint(self, page: AnsweredPage) -> str:
        """What the page says about others, and which arguments may read them."""
        # Only needed if the crawl fails.
        from coinspider.http.pagination.auto import Auto, hint

        return hint(page, self.names_pagination and self.pagination != Auto())

    def _misfit(self, page: AnsweredPage, keys: Sequence[Key | None]) -> str | None:
        """Why a page can't be the one that was requested."""
        is_later = page.request.number > 1 and self.movement.reading == 1
        if is_later and keys and self.seen.has_all(keys):
            why = "it holds nothing that was not on an earlier page"
            if not self.log.changed:
                return why + self._hint(page)
            from coinspider.records.discovery import key_advice  # only for a crawl that fails

            return why + key_advice(page.records, page.request.cut)
        other = self.log.firsts.get(keys[0]) if keys and keys[0] is not None else None
        if other not in (None, page.request.number):
            return f"it begins with the same record as page {other}"
        fall = self.chain.fall(page.request.number, keys) if self.chain else None
        if not (fall and self.chain):
            return None
        before = self.misfits.setdefault(page.request.number, hash(tuple(keys)))
        if before == hash(tuple(keys)) and (page.request.number, "misfit") in self.log.asked_again:
            # What comes twice the same is the API's habit: the list is in no order.
            self.chain.in_order = False
            return None
        return f"it is out of order: {fall}"

    def _ask_for_another(self, page: PageRequest, reason: str) -> Answer:
        """A page that can't be right is read once more; the second time it ends the crawl."""
        if self.log.ask_again(page.number, "misfit"):
            return Answer(again=Again(page, reason))
        failure = page_reason(page.url, reason, code="page_spoiled")
        # Where pages repeat each other, all others will do so, too.
        is_repeat = page.number not in self.misfits
        return Answer(failure=failure) if is_repeat else self.pass_over(page, failure)

    def _error_in(self, page: AnsweredPage) -> str | None:
        """The API's words, if it answers a later page with status 200 and an error."""
        if page.records or page.error or page.request.number == 1 or self.came_all():
            return None
        return self.log.likeness.unlike(page)

    def _retry(self, page: PageRequest, why: str) -> Answer:
        """Request a page again, as after a status 500."""
        times = self.doubted.get(page.number, 0) + 1
        if times > self.retry_times:
            return Answer(failure=page_reason(page.url, f"the API says: {why}"))
        self.doubted[page.number] = times
        return Answer(again=Again(page, why, times))

    def pass_over(self, page: PageRequest, reason: Reason) -> Answer:
        """A page that can't be had costs one page, where pages have numbers.

        If the next one can't be had either, the crawl fails.
        """
        passing = getattr(self.strategy(page), "passing", None)
        is_one = page.number > 1 and page.number - 1 not in self.missing
        if not (is_one and reason.code in _OF_ONE_PAGE and passing):
            return Answer(failure=reason)
        self.missing[page.number] = reason
        return Answer(passing(page, max(self.log.counts.values(), default=0)))

    def _repeated(self, keys: Sequence[Key | None]) -> list[bool] | None:
        """For each key, whether it came before; ``None`` if only new records are stored."""
        is_first = self.movement.reading == 1
        repeated = self.seen.add(keys) if keys and is_first else None
        count = sum(repeated or ()) if is_first else self.movement.repeated(keys)
        self.log.note_repeated(count, len(keys))
        return repeated

    def _note(self, page: AnsweredPage, keys: Sequence[Key | None], step: Step) -> Reason | None:
        if self.log.has_two_of_a_key(page.records, keys):
            why = (
                "the key does not identify the records: two of one page have the same, name another"
                " with -a key=FIELD,FIELD"
            )
            return Reason("key_not_unique", {"why": why})
        self.log.note(page, keys)
        if page.records:
            self.movement.note(page, keys, step.requests, self.log.last)
        self._expect_pages(len(page.records))
        return None

    def _expect_pages(self, count: int) -> None:
        """Learn from the first page how many pages there are in all."""
        if self.expected_pages or not count:
            return
        log = self.log
        expected = log.least_pages or (-(-log.total.least // count) if log.total else None)
        last: int | None = getattr(self.pagination, "last", None)
        self.expected_pages = min(expected, last or expected) if expected else None

    def _check(self, page: AnsweredPage, step: Step) -> Reason | None:
        """Note the end of the list; or why the list can't be followed."""
        if step.problem:
            return _lost(step.problem + self._hint(page))
        if step.end:
            return self._note_end(page, step)
        if page.request.number - self.log.last > EMPTY_PAGES_MAX:
            return _lost(f"the last {EMPTY_PAGES_MAX} pages have no records")
        if self.log.mostly_repeated >= REPEATED_PAGES_MAX:
            return _lost(f"the last {REPEATED_PAGES_MAX} pages hold little that is new")
        if self.pages_max and len(self.log.counts) >= self.pages_max:
            return Reason("too_many_pages", {"most": self.pages_max})
        return None

    def _note_end(self, page: AnsweredPage, step: Step) -> Reason | None:
        assert step.end
        is_certain = step.by is Evidence.WANTED or step.overrules or step.is_repeat
        if page.records and not is_certain:
            contradiction = page.signs.says_more(len(page.records), page.request.number)
            if contradiction:
                return _lost(f"{contradiction}, but {step.end}{self._hint(page)}")
        self.log.ends[page.request.number] = End(
            page.request,
            step.end,
            page.signs.told.by if page.signs.told and not page.error else step.by,
            is_empty=not page.records,
            is_numbered=self._takes_errors(page.request),
            lacks_list=page.lacks_list,
        )
        return None

    def _after_doubt(self, found: Doubt) -> Again | None:
        page = found.page
        if page is None or (found.once and self.log.is_cached):
            return None
        times = self.doubted.get(page.number, 0) + 1
        is_left = (
            self.log.ask_again(page.number, "end") if found.once else times <= self.retry_times
        )
        if not is_left:
            return None
        self.doubted[page.number] = times
        is_proof = found.once and not found.fails
        return Again(page, found.reason, 0 if is_proof else times)

    def _beyond(self, found: Doubt) -> Again | None:
        """The page after an empty one that may not be the last, for its records and those behind.

        It may not be if more is announced, or if the page lacks its list.
        """
        page = found.page
        if page is None or page.number < max(self.log.last, 2):
            return None
        strategy = self.found or self.strategy(page)
        passing = getattr(strategy, "passing", None)
        is_odd = found.fails or self.log.ends[page.number].lacks_list
        if not (passing and is_odd and self.log.ask_again(page.number, "beyond")):
            return None
        following = passing(page, max(self.log.counts.values(), default=0))
        if not following:
            return None
        return Again(replace(following[0], strategy=strategy), found.reason, times=0)

    def _second_reading(self) -> Again | None:
        """A numbered page that is short; in key order also one that overlaps with the next page.

        Such a page may be spoiled; its new records are stored.
        """
        strategy = self.found or self.pagination
        if not isinstance(strategy, PageNumber) or self.log.is_cached or self._all_are_different():
            return None
        number = self.chain.doubtful() if self.chain else self.log.short_page()
        if number is None:
            return None
        listed = strategy.with_limit(self.movement.page or self.listed).moved(
            look_ahead=IN_SEQUENCE
        )
        return Again(strategy.page(listed, number), "", is_reading=True)

    def _all_are_different(self) -> bool:
        """Whether as many different records came as the pages announced."""
        return bool(self.log.total and self.seen.count >= self.log.total.least)

    def _check_movement(self) -> Again | None:
        """A page of the list again, to see whether it stood still; all of it if it moved."""
        if self.movement.begins_again(self.log):
            likeness, self.log = self.log.likeness, self._new_log()
            self.log.likeness = likeness
            return Again(self.first(), "the list moved while it was read")
        page = None if self.missing else self.movement.to_compare(self.log, self.came_all())
        return Again(page, "", is_reading=True) if page else None


def _named(missing: Reason) -> str:
    return "page {url}: {why}".format_map(missing.figures)


def _lost(why: str) -> Reason:
    return Reason("pagination_unknown", {"why": why})
