"""The spider that reads a paginated API; a source adds its URL, its item and its pagination."""

import logging
from collections.abc import (
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Self
from uuid import uuid4

from msgspec import Raw, Struct
from scrapy import Request, Spider, signals
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CloseSpider,
    DontCloseSpider,
)
from scrapy.http import Response
from scrapy.settings import BaseSettings
from twisted.python.failure import Failure
from w3lib.url import add_or_replace_parameter

from coinspider.crawl.failed_pages import FailedPages, times_asked
from coinspider.crawl.key_order import PageChain
from coinspider.crawl.lookup import Call, Lookup
from coinspider.crawl.outcome import CrawlOutcome, fail_crawl, note_failure
from coinspider.crawl.reasons import Reason, page_reason
from coinspider.crawl.target import NO_START, CrawlStart, CrawlTarget, RunWork, with_margin
from coinspider.crawl.walk import Answer, Walk
from coinspider.errors import (
    ConfigurationError,
    ForbiddenLinkError,
    PageError,
)
from coinspider.http.api_errors import explain_body
from coinspider.http.api_key import TOKEN_META, account_name, credential_headers
from coinspider.http.handler import check_ca_file
from coinspider.http.limit.state import ConfiguredLimit, MonthlyCredits, credits_from_settings
from coinspider.http.limit.turns import limit_from_settings
from coinspider.http.links import HOME_META, check_link, origin
from coinspider.http.pagination import (
    AnsweredPage,
    LookAhead,
    PageRequest,
    Pagination,
    SignNames,
)
from coinspider.http.pagination.protocol import choose_look_ahead, read_page
from coinspider.records.cutting import Cut, parse_cut
from coinspider.records.keys import Key, SeenKeys, record_keys
from coinspider.records.record import Page, Source
from coinspider.records.table_item import TableItem
from coinspider.secrets import hide, masked, masked_arguments, secret_values
from coinspider.stats import (
    EMPTY_STAT,
    END_STAT,
    EXPECTED_STAT,
    FOUND_STAT,
    KNOWN_STAT,
    LOOKUP_STAT,
    PAGE_STAT,
    RECORD_STAT,
    REREAD_STAT,
)
from coinspider.text import visible

logger = logging.getLogger(__name__)
_DIGITS = 8  # of a hash
# The mark of a request that was made, until its response or its failure comes.
_MADE_META = "coinspider_made"
# What Scrapy drops without an error, by the stat that counts it.
_DROPPED_BY = {
    "offsite/filtered": "its host is not in the spider's allowed_domains",
    "depth/request_ignored_count": "it is deeper than DEPTH_LIMIT",
    "urllength/request_ignored_count": "it is longer than URLLENGTH_LIMIT",
}


def _check_project(settings: BaseSettings) -> None:
    """Raise :exc:`ConfigurationError` in a project without coinspider's settings.

    There pages would pass for items, and end in an empty feed.
    """
    names = [getattr(name, "__name__", str(name)) for name in settings["SPIDER_MIDDLEWARES"]]
    if not any(name.endswith("PageMiddleware") for name in names):
        raise ConfigurationError(
            "this project lacks coinspider's settings: begin its settings.py with"
            " from coinspider.settings import *"
        )


class PaginatedSpider(Spider):
    """Requests one page after the other, and yields each as a :class:`Page` of records.

    A source names its ``url``, its ``item_class``, its ``pagination`` and where on a page its
    ``records`` are (``data.items``; the bare list by default). The setting ``NAME_URL`` gives
    another address for its API. If pages have numbers, and latency rather than the limit slows the
    crawl down, it requests up to ``LOOKAHEAD_PAGES`` at once; under a limit, no more than the last
    complete crawl had.

    For an API that takes ``POST`` requests, ``body`` is the JSON text; the pagination may put
    cursors there (``Cursor("next_cursor", "start_cursor", parameter_in="body")``).

    What else a source may override, each documented in its place:

    - ``whole``, ``must_find``: what a crawl must read, and what it does not see is gone
    - :meth:`page_chain`, if the list is in the order of its keys
    - ``lookup_size``, :meth:`lookup_url`, :meth:`can_look_up`, if records can be asked for by key
    - ``since_parameter`` and ``since_column``, if the API can be asked for newer records
    - :meth:`came_all`, if something else than a total shows that all records came
    - :meth:`explain` and :meth:`advice`, for the API's errors
    - :meth:`credits_told` and ``credits_request``, if the API says how many calls are left
    - :meth:`pages_of`, if a page says more than its records
    - :meth:`prepare`, if what is asked for depends on what the database has
    - :meth:`find_cut`, :meth:`begin` and :meth:`adapt`, if records and columns have to be found out

    The reading itself is done by a ``walk``, a ``lookup`` of missing keys and an ``outcome``, which
    know nothing of Scrapy; the spider makes requests and items of their answers.
    """

    item_class: type[TableItem] | None
    pagination: Pagination
    records = ""
    body = ""
    sign_names = SignNames()
    """Where a page has its total or its flag, if that has no usual name."""
    constants: Mapping[str, Any] = MappingProxyType({})
    whole = False
    """Whether a crawl reads the whole list, so that what it does not see is gone."""
    headers: Mapping[str, str]
    configured_limit: ConfiguredLimit
    monthly_credits = MonthlyCredits()
    """The calls per month, as far as the settings say."""
    credits_request: Request | None = None
    """A request to the API itself for that, if it can say."""
    # The arguments ``-a NAME=VALUE``, if the spider checks them.
    arguments_class: type[Struct] | None = None
    arguments: Mapping[str, Any]
    job: str | None
    # The setting that holds the API's token.
    credential_setting = "API_TOKEN"
    # An incremental source: the parameter that asks for newer records, and the column with its
    # value. The database keeps it, and only a complete crawl advances it.
    since_parameter: str | None = None
    since_column: str | None = None
    # For a spider that has no item class until it knows the table's columns.
    table: str | None = None
    names_pagination = False
    """Whether ``-a pagination=`` says how the list is paged."""
    checks_keys = False
    """Whether the key may turn out not to identify a record."""
    lookup_size = 0
    """How many keys one call may name; 0 if the API has no such call."""
    url: str
    api_key: str | None
    """What the API knows its user by: a token, a key or a name."""
    url_setting = ""
    """The setting that gave another address for the API."""
    key_setting, limit_setting = "API_TOKEN", "API_RATE_LIMIT"
    """What remedies name where the API refuses."""
    rejection_advice = ""
    """What to say beside the reasons for which records were rejected."""
    hosts_allowed: list[str]
    rewrites_links: bool
    earlier: CrawlStart = NO_START
    """What the store knows about earlier crawls."""
    outcome: CrawlOutcome

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        _check_project(crawler.settings)
        configured = limit_from_settings(crawler.settings)
        check_ca_file(crawler.settings)
        spider = super().from_crawler(crawler, *args, **kwargs)
        spider.configured_limit = configured
        spider.monthly_credits = credits_from_settings(crawler.settings) or MonthlyCredits()
        # scrapyd gives each spider its job's id.
        spider.job = kwargs.pop("_job", None)
        spider.arguments = kwargs
        name = f"{cls.name.upper()}_URL"
        spider.url = crawler.settings.get(name) or getattr(cls, "url", "")
        spider.url_setting = name if crawler.settings.get(name) else ""
        spider.headers = credential_headers(crawler.settings, cls.credential_setting)
        names = (cls.credential_setting, "API_USERNAME")
        spider.api_key = next(filter(None, map(crawler.settings.get, names)), None)
        spider.hosts_allowed = crawler.settings.getlist("PAGINATION_HOSTS_ALLOWED")
        spider.rewrites_links = crawler.settings.getbool("PAGINATION_REWRITE_ENABLED")
        spider.outcome = CrawlOutcome(reads_pages=True)
        hide(spider.secrets())
        crawler.signals.connect(spider.request_dropped, signals.request_dropped)
        crawler.signals.connect(spider.request_ended, signals.response_received)
        crawler.signals.connect(spider.requests_done, signals.spider_idle)
        return spider

    @property
    def account(self) -> str:
        """The name of the API and key, whose calls are counted together."""
        return account_name(self.url, self.api_key)

    def secrets(self) -> set[str]:
        """Its credentials, and what its arguments have of others."""
        given = [f"{name}={value}" for name, value in {**self.arguments, **self.headers}.items()]
        known = {self.api_key, self.settings.get("API_PASSWORD")}
        return set(filter(None, known)).union(*map(secret_values, [self.url, *given]))

    @property
    def must_find(self) -> bool:
        """Whether a crawl that finds no record has failed."""
        return self.whole

    @property
    def lock_name(self) -> str:
        """The name of what only one crawl at a time may read, whatever in it is not shown."""
        shown = masked(self.url)
        apart = "" if shown == self.url else f" {sha256(self.url.encode()).hexdigest()[:_DIGITS]}"
        return f"{self.name} {shown}{apart}"

    def target(self) -> CrawlTarget:
        """What this spider crawls, for the store."""
        return CrawlTarget(
            source=self.name,
            url=masked(self.url),
            lock_name=self.lock_name,
            item_class=self.item_class,
            table=self.table,
            constants=self.constants,
            whole=self.whole,
            incremental=bool(self.since_parameter),
            job=self.job,
            arguments=masked_arguments(self.arguments),
        )

    @cached_property
    def seen(self) -> SeenKeys:
        """The keys of all records on the pages, whatever their outcome."""
        return SeenKeys()

    @cached_property
    def under_way(self) -> dict[str, str]:
        """The URLs of the requests that were made and have not ended, by their marks."""
        return {}

    @cached_property
    def walk(self) -> Walk:
        """The reading of the list, which begins when earlier crawls are known."""
        return Walk(
            self.pagination,
            self.seen,
            self._listed(),
            chain=self.page_chain(),
            known_pages=self.earlier.known_pages,
            earlier=self.earlier.shortage,
            may_be_empty=bool(self.earlier.since),
            checks_keys=self.checks_keys,
            names_pagination=self.names_pagination,
            pages_max=self.settings.getint("PAGINATION_PAGES_MAX"),
            readings_max=self.settings.getint("PAGINATION_READINGS_MAX", 1),
            missing_max=self.settings.getint("PAGINATION_MISSING_MAX"),
            retry_times=self.settings.getint("RETRY_TIMES"),
            came_all=self.came_all,
        )

    @cached_property
    def lookup(self) -> Lookup:
        """The search for known records that did not come."""
        return Lookup(self.lookup_size, self.seen, self.can_look_up)

    @cached_property
    def failed_pages(self) -> FailedPages:
        """What follows the pages that did not come."""
        return FailedPages(self)

    def calls_needed(self) -> int:
        """How many calls the crawl takes, judging by earlier ones, and some for retries."""
        known = self.earlier.known_calls
        return with_margin(known or getattr(self.pagination, "last", None) or 1)

    def credits_told(self, response: Response) -> tuple[int | None, int] | None:
        """The month's credits and how many are left, from the response to ``credits_request``.

        ``None`` if it does not have them.
        """
        return None

    def start_from(self, start: CrawlStart) -> None:
        """Adopt what the store knows about earlier crawls."""
        self.item_class, self.earlier, self.outcome.place = start.item_class, start, start.place
        if start.known_pages:
            self.crawler.stats.set_value(KNOWN_STAT, start.known_pages)

    async def prepare(self, run: RunWork) -> None:
        """Called before the first request, if rows are stored."""

    async def start(self) -> AsyncIterator[Request]:
        yield self.page_request(self.walk.first())

    def _listed(self) -> PageRequest:
        """The request for the list, from which the pagination makes that for the first page."""
        url = self.url
        if self.since_parameter and self.earlier.since:
            url = add_or_replace_parameter(url, self.since_parameter, self.earlier.since)
        method = "POST" if self.body else "GET"
        cut, body = self.first_cut(), self.body.encode()
        return PageRequest(url, method, body=body, cut=cut, names=self.sign_names)

    def page_chain(self) -> PageChain | None:
        """What checks that the pages fit together, if the list is in the order of its keys."""
        return None

    def came_all(self) -> str | None:
        """The evidence that all records came, if there is any besides a total."""
        return None

    def first_cut(self) -> Cut | None:
        """Where the records of the first page are; ``None`` if the crawl has to find out."""
        return parse_cut(self.records)

    def find_cut(self, body: bytes) -> Cut:
        """Where the records of a body are, if :meth:`first_cut` doesn't say."""
        return Cut()

    def begin(self, page: AnsweredPage) -> None:
        """Called with the first page that has records, while there is no item class."""

    def adapt(self, page: AnsweredPage) -> None:
        """Called with each page that has records, before they become items."""

    def advice(self, status: int) -> str:
        """Advice for when the first page is an error, to append to the message."""
        return ""

    def explain(self, response: Response) -> str:
        """The message of an error page, in a few words."""
        return visible(explain_body(response.body))

    def lookup_url(self, keys: Sequence[Key]) -> str:
        """The URL of one page with all of these records that exist, if there is such a URL."""
        return self.url

    def can_look_up(self, key: Key) -> bool:
        """Whether the URL can name this key."""
        return True

    def page_request(self, page: PageRequest, **options: Any) -> Request:
        """A request for a page, with credentials only for the API's own origin."""
        at_home = origin(page.url) == origin(self.url)
        json = {"Content-Type": "application/json"} if page.body else {}
        # To Scrapy, pages that differ only in a header are the same.
        options.setdefault("dont_filter", bool(page.headers) or self.walk.movement.reading > 1)
        options.setdefault("cb_kwargs", {"page": page})
        meta = {HOME_META: self.url, TOKEN_META: at_home, **options.pop("meta", {})}
        self.request_made(page.url, meta)
        return Request(
            page.url,
            method=page.method,
            headers={**json, **(self.headers if at_home else {}), **dict(page.headers)},
            body=page.body,
            errback=self.page_failed,
            # Keeps the pages of a look-ahead in order, which Scrapy's memory queue would reverse.
            priority=-page.number,
            meta=meta,
            **options,
        )

    def parse(
        self, response: Response, page: PageRequest | None = None
    ) -> Iterator[Request | Page]:
        # The command scrapy parse makes the request itself, without a page.
        page = page or PageRequest(response.url, cut=self.first_cut())
        try:
            answered = read_page(response, page, self.find_cut)
        except PageError as error:
            yield from self.failed_pages.retry(response.request, str(error), error.retry_times)
            return
        self.walk.log.is_cached |= "cached" in response.flags
        yield from self.walk_on(self._with_look_ahead(answered, response))

    def walk_on(self, page: AnsweredPage) -> Iterator[Request | Page]:
        """The requests that follow a page, and its records."""
        if self.item_class is None and page.records:
            self.begin(page)
        answer = self.walk.take(page, self.keys(page))
        if answer.note:
            logger.info("%s", answer.note, extra={"spider": self})
        if answer.again:
            yield self.failed_pages.again(answer.again)
            return
        failure = self.failed_pages.ended_by(answer.failure) if answer.failure else None
        try:
            # Before the records, so that the next page is fetched while these are processed.
            for following in answer.requests:
                yield self.page_request(replace(following, url=self.checked(following.url)))
        except CloseSpider as error:
            failure = error
        if answer.is_counted:
            yield from self._counted(page, answer)
        if failure:
            raise failure

    def keys(self, page: AnsweredPage) -> list[Key | None]:
        """The key of each record; ``None`` if it can't be read."""
        if self.item_class is None or not page.records:
            return []
        return record_keys(page.records, self.item_class, self.constants)

    def _counted(self, page: AnsweredPage, answer: Answer) -> Iterator[Page]:
        """The records of a page on their way to the table."""
        stats, expected = self.crawler.stats, self.walk.expected_pages
        of_list = PAGE_STAT if page.records else EMPTY_STAT
        stats.inc_value(of_list if self.walk.movement.reading == 1 else REREAD_STAT)
        if expected:
            stats.set_value(EXPECTED_STAT, expected)
        if answer.texts:
            self.adapt(page)
        yield from self.pages_of(page, answer.texts, answer.repeated)

    def pages_of(
        self, page: AnsweredPage, texts: Sequence[Raw], repeated: list[bool] | None = None
    ) -> Iterator[Page]:
        """The records of a page, counted; a source may add what else the page says."""
        self.crawler.stats.inc_value(RECORD_STAT, len(texts))
        if self.item_class and texts:
            source = Source(page.url, self.item_class, self.constants)
            yield Page(list(texts), source, repeated)

    def _with_look_ahead(self, page: AnsweredPage, response: Response) -> AnsweredPage:
        """The page with its request's look-ahead, which the first page's latency decides."""
        chosen = page.request.look_ahead
        if chosen is None:
            ways = choose_look_ahead(
                self.settings.getint("LOOKAHEAD_PAGES", 1),
                response.meta.get("download_latency", 0.0),
                self.settings.getfloat("LOOKAHEAD_LATENCY"),
                self.configured_limit,
                self.earlier.known_pages,
            )
            chosen = LookAhead(ways.ways, ways.known, start=page.request.number)
        return replace(page, look_ahead=chosen)

    def requests_done(self) -> None:
        """Believe the end, or request the pages that it depends on again."""
        if self.outcome.reason:
            return
        if self.under_way:
            note_failure(self.crawler, self._dropped(next(iter(self.under_way.values()))))
            return
        verdict = self.walk.judge()
        if verdict.again:
            self.crawler.engine.crawl(self.failed_pages.again(verdict.again))
            raise DontCloseSpider
        self.outcome.shortage = verdict.shortage
        if verdict.failure:
            note_failure(self.crawler, verdict.failure)
        elif verdict.is_end:
            self.outcome.end_reached = True
            if verdict.remark:
                self.outcome.remark(verdict.remark)
            # Tools around scrapyd can't read True: https://github.com/my8100/logparser
            self.crawler.stats.set_value(END_STAT, 1)

    def read_again(self, response: Response, page: PageRequest) -> Iterator[Request | Page]:
        """Store what the second reading of a page has besides the first."""
        try:
            answered = read_page(response, page)
        except PageError as error:
            yield from self.failed_pages.retry(response.request, str(error), error.retry_times)
            return
        self.crawler.stats.inc_value(REREAD_STAT)
        yield from self.pages_of(answered, self.walk.take_reading(answered, self.keys(answered)))

    def lookup_request(self, call: Call, meta: dict[str, Any] | None = None) -> Request:
        """A request for the records that a call names."""
        meta = {"dont_cache": True, **(meta or {})}
        page = PageRequest(self.lookup_url(call.names))
        named = {"callback": self.looked_up, "cb_kwargs": {"call": call}, "meta": meta}
        # The same keys may be asked for again, if there are no other witnesses.
        return self.page_request(page, dont_filter=True, **named)

    def looked_up(self, response: Response, call: Call) -> Iterator[Request | Page]:
        """Store what came. What did not come does not exist, if the response can be trusted."""
        request = response.request
        assert request
        try:
            page = read_page(response, PageRequest(response.url, cut=parse_cut(self.records)))
        except PageError as error:
            yield from self.failed_pages.retry(request, str(error), error.retry_times)
            return
        keys = self.keys(page)
        found = self.lookup.take(call, keys, times_asked(request) + 1)
        if found.call:
            [again] = self.failed_pages.retry(request, found.why)  # a call has no next page
            yield self.lookup_request(found.call, again.meta)
            return
        self.crawler.stats.inc_value(LOOKUP_STAT)
        if found.is_believed:
            texts = self.walk.unseen(page, keys)
            self.crawler.stats.inc_value(FOUND_STAT, len(texts))
            yield from self.pages_of(page, texts)

    def request_made(self, url: str, meta: dict[str, Any]) -> None:
        """Mark a request: what Scrapy drops in silence never ends."""
        self.under_way[meta.setdefault(_MADE_META, uuid4().hex)] = url

    def request_ended(self, request: Request) -> None:
        self.under_way.pop(request.meta.get(_MADE_META, ""), None)

    def _dropped(self, url: str) -> Reason:
        """Why a request came to no end, as far as a stat tells."""
        get = self.crawler.stats.get_value
        words = [words for stat, words in _DROPPED_BY.items() if get(stat)]
        why = ", or ".join(words) or "a middleware or an extension gave it up"
        return page_reason(url, f"Scrapy dropped the request: {why}", code="page_dropped")

    def request_dropped(self, request: Request) -> None:
        """Scrapy drops requests it has already made: a link that leads in a circle."""
        self.request_ended(request)
        page = request.cb_kwargs.get("page")
        if page and self.walk.knows(page.number):
            return  # a repeated page has led to the same ones as before
        if self.crawler.settings.get("JOBDIR") and not self.walk.log.counts:
            return  # the first page of a crawl that was interrupted and goes on
        fail_crawl(self.crawler, Reason("pagination_circle", {"url": request.url}))

    def page_failed(self, download_failure: Failure) -> Request | Iterable[Any] | None:
        """Retry a page that did not come, follow a redirect, or fail the crawl."""
        self.request_ended(download_failure.request)  # type: ignore[attr-defined]
        return self.failed_pages.answer(download_failure)

    def checked(self, link: str) -> str:
        """The URL to follow for a link; raises ``CloseSpider`` if it may not be followed."""
        try:
            return check_link(link, self.url, self.hosts_allowed, self.rewrites_links)
        except ForbiddenLinkError as error:
            reason = Reason("forbidden_link", {"why": str(error)})
            raise note_failure(self.crawler, reason) from None
