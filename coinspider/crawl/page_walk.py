"""Goes from page to page."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from scrapy import Request
from scrapy.exceptions import CloseSpider

from coinspider.crawl.failure import fail_crawl, note_failure
from coinspider.crawl.list_end import ListEnd
from coinspider.crawl.reasons import Reason
from coinspider.crawl.state import crawl_state
from coinspider.http.pagination import AnsweredPage, PageRequest, Step
from coinspider.records.keys import Key, record_keys
from coinspider.records.record import Page
from coinspider.records.table_item import TableItem

# The statuses that APIs give a page past the end, or unknown parameters.
PAST_THE_END = (400, 404, 416, 422)
# Empty pages in a row: some cursors lead across a few.
EMPTY_PAGES_MAX = 100
logger = logging.getLogger(__name__)


class PageWalk(ListEnd):
    """A spider that follows its pagination from page to page."""

    item_class: type[TableItem] | None
    constants: Mapping[str, Any]
    checks_keys = False
    """Whether the key may turn out not to identify a record."""

    def begin(self, page: AnsweredPage) -> None:
        """Called with the first page that has records, while there is no item class."""

    def page_of_records(self, page: AnsweredPage) -> Page | None:
        raise NotImplementedError

    def requests_after(self, step: Step) -> Iterator[Request]:
        raise NotImplementedError

    def walk_on(self, page: AnsweredPage, request: Request) -> Iterator[Request | Page]:
        """The requests that follow a page, and its records."""
        if self.item_class is None and page.records:
            self.begin(page)
        step = self.step_after(page)
        if step.note:
            logger.info("%s", step.note, extra={"spider": self})
        keys = [] if step.is_repeat else self.keys(page)
        if again := self.try_misfit_again(page, keys, request):
            yield again
            return
        failure: CloseSpider | None = None
        try:
            if not step.is_repeat:
                self.take_note(page, keys)
            self.check(page, step, request)
            # Before the records, so that the next page is fetched while these are processed.
            yield from self.requests_after(step)
        except CloseSpider as error:
            failure = error
        if not step.is_repeat and (records := self.page_of_records(page)):
            records.repeated = crawl_state(self.crawler).seen.add(keys)
            yield records
        if failure:
            raise failure

    def try_misfit_again(
        self, page: AnsweredPage, keys: list[Key | None], request: Request
    ) -> Request | None:
        """A retry for a page that can't be right; the second time it ends the crawl."""
        reason = self.misfit(page, keys)
        if reason is None:
            return None
        again = self.once_more(request, reason, "misfit")
        if again is None:
            raise self.page_failure(request, reason, code="page_spoiled")
        return again

    def misfit(self, page: AnsweredPage, keys: list[Key | None]) -> str | None:
        """Why a page can't be the one that was requested."""
        number, chain = page.request.number, self.page_log.chain
        if number > 1 and keys and crawl_state(self.crawler).seen.has_all(keys):
            return "it holds nothing that was not on an earlier page" + self.hint(page)
        fall = chain.fall(number, keys) if chain else None
        return f"it is out of order: {fall}" if fall else None

    def step_after(self, page: AnsweredPage) -> Step:
        """The strategy's answer, unless an empty page comes after all announced records.

        CKAN's last pages link to a next page endlessly.
        """
        if page.request.number > 1 and not page.records and (told := self.came_all()):
            return Step(end=told)
        return self.strategy(page.request).following(page)

    def may_be_past_the_end(self, page: PageRequest, status: int) -> bool:
        """Whether an error on the second or a later page may mean the end of the list."""
        if self.came_all():
            return True
        return status in PAST_THE_END and self.takes_errors(page)

    def keys(self, page: AnsweredPage) -> list[Key | None]:
        """The key of each record; ``None`` if it can't be read."""
        if self.item_class is None or not page.records:
            return []
        return record_keys(page.records, self.item_class, self.constants)

    def take_note(self, page: AnsweredPage, keys: list[Key | None]) -> None:
        if self.page_log.has_two_of_a_key(page.records, keys):
            why = (
                "the key does not identify the records: two of one page have the same, name another"
                " with -a key=FIELD,FIELD"
            )
            raise note_failure(self.crawler, Reason("key_not_unique", {"why": why}))
        self.page_log.note(page, keys)
        self.expect_pages(page)

    def expect_pages(self, page: AnsweredPage) -> None:
        """Read from the first page how many records or pages there are in all."""
        state, log, count = crawl_state(self.crawler), self.page_log, len(page.records)
        if state.expected_pages or not count:
            return
        expected = log.least_pages or (-(-log.least_total // count) if log.least_total else None)
        last: int | None = getattr(self.pagination, "last", None)
        state.expected_pages = min(expected, last or expected) if expected else None

    def check(self, page: AnsweredPage, step: Step, request: Request) -> None:
        """Note the end of the list; raise what ends the crawl if the list can't be followed."""
        if step.problem:
            raise self.lost(step.problem + self.hint(page))
        if step.end:
            self.note_end(page, step, request)
        elif page.request.number - self.page_log.last > EMPTY_PAGES_MAX:
            raise self.lost(f"the last {EMPTY_PAGES_MAX} pages have no records")
        elif self.pages_max and len(self.page_log.counts) >= self.pages_max:
            raise note_failure(self.crawler, Reason("too_many_pages", {"most": self.pages_max}))

    def request_dropped(self, request: Request) -> None:
        """Scrapy drops requests it has already made: a link that leads in a circle."""
        page = request.cb_kwargs.get("page")
        if page and (page.number in self.page_log.counts or page.number in self.page_log.ends):
            return  # a repeated page has led to the same ones as before
        if self.crawler.settings.get("JOBDIR") and not self.page_log.counts:
            return  # the first page of a crawl that was interrupted and goes on
        fail_crawl(self.crawler, Reason("pagination_circle", {"url": request.url}))
