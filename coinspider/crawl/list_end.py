"""Where a list seems to end, and which pages are requested again before that is believed."""

from scrapy import Request
from scrapy.exceptions import CloseSpider, DontCloseSpider

from coinspider.crawl.evidence import Doubt, End, PageLog, doubt
from coinspider.crawl.failure import note_failure
from coinspider.crawl.page_failures import PageFailures
from coinspider.crawl.reasons import Reason
from coinspider.crawl.state import crawl_state
from coinspider.http.pagination import AnsweredPage, PageRequest, Pagination, Step


class ListEnd(PageFailures):
    """A spider that does not accept every empty page as the end of its list."""

    pagination: Pagination
    names_pagination = False
    """Whether ``-a pagination=`` says how the list is paged."""

    @property
    def page_log(self) -> PageLog:
        return crawl_state(self.crawler).pages

    def hint(self, page: AnsweredPage) -> str:
        """What the page says about others, and which arguments may read them."""
        # Only needed if the crawl fails.
        from coinspider.http.pagination.auto import Auto, hint

        return hint(page, self.names_pagination and self.pagination != Auto())

    def strategy(self, request: PageRequest) -> Pagination:
        return request.strategy or self.pagination

    def takes_errors(self, request: PageRequest) -> bool:
        return getattr(self.strategy(request), "takes_errors", False)

    def came_all(self) -> str | None:
        """The evidence that all records came, if there is any."""
        return self.page_log.reached_total()

    def lost(self, message: str) -> CloseSpider:
        return note_failure(self.crawler, Reason("pagination_unknown", {"why": message}))

    def note_end(self, page: AnsweredPage, step: Step, request: Request) -> None:
        assert step.end
        if page.records and not (step.is_final or step.overrules or step.is_repeat):
            contradiction = page.signs.says_more(len(page.records), page.request.number)
            if contradiction:
                raise self.lost(f"{contradiction}, but {step.end}{self.hint(page)}")
        self.page_log.ends[page.request.number] = End(
            request,
            step.end,
            is_empty=not page.records,
            is_error=bool(page.error) and not self.came_all(),
            is_numbered=self.takes_errors(page.request),
            is_final=step.is_final,
            is_told=bool(page.signs.says_last or page.signs.no_link),
        )

    def requests_done(self) -> None:
        """Believe the end, or request the pages it depends on again."""
        state, log = crawl_state(self.crawler), self.page_log
        if state.failure or state.end_reached or not log.ends:
            return
        may_be_empty, told = bool(state.since), self.came_all()
        found = doubt(log, state.known_pages, may_be_empty=may_be_empty, told=told)
        again = self.after_doubt(found) if found else None
        if again is None and not (found and found.fails):
            again = self.second_reading()
        if again:
            self.crawler.engine.crawl(again)
            raise DontCloseSpider
        if found and found.fails:
            note_failure(self.crawler, Reason("end_in_doubt", {"why": found.reason}))
        else:
            state.end_reached = True

    def after_doubt(self, found: Doubt) -> Request | None:
        if not found.request or (found.once and self.page_log.is_cached):
            return None
        if found.once:
            return self.once_more(found.request, found.reason, "end")
        return self.retry(found.request, found.reason)

    def once_more(self, request: Request, reason: str, what: str) -> Request | None:
        """A retry because of a doubt; ``None`` if the page already had one for the same reason."""
        asked = request.cb_kwargs["page"].number, what
        if asked in self.page_log.asked_again:
            return None
        self.page_log.asked_again.add(asked)
        return self.retry(request, reason, request.meta.get("retry_times", 0) + 1)

    def second_reading(self) -> Request | None:
        """A request for a page worth repeating before the end is believed."""
        return None
