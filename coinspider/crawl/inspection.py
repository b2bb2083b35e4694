"""What ``scrapy inspect`` runs: the first page, and a few requests for the second."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from scrapy import Request
from scrapy.exceptions import CloseSpider

from coinspider.crawl.spider import PaginatedSpider
from coinspider.http.pagination import AnsweredPage, Pagination, Step
from coinspider.http.pagination.protocol import command_arguments
from coinspider.installation import program
from coinspider.records.cutting import Cut
from coinspider.records.record import Page
from coinspider.records.table_item import (
    AMOUNT,
    BOOLEAN,
    DATE,
    INTEGER,
    LOCAL_TIME,
    TEXT,
    TIME,
    ColumnType,
    columns,
)
from coinspider.text import in_shell

# Requests for a second page; what is not certain after them is left to the crawl.
TRIES_MAX = 5
SAMPLE_MAX = 300  # bytes of a record
# How a field of each type is declared, and how a field of the key.
DECLARED = {
    AMOUNT: "Amount",
    INTEGER: "Integer",
    TEXT: "str",
    BOOLEAN: "bool",
    TIME: "Time",
    LOCAL_TIME: "LocalTime",
    DATE: "Date",
}
DECLARED_KEY = {AMOUNT: "IntegerKey", INTEGER: "IntegerKey", TEXT: "Key"}


class Inspection(PaginatedSpider):
    """A spider that keeps its findings instead of the records."""

    page: AnsweredPage | None = None
    step: Step | None = None
    tries = 0

    def walk_on(self, page: AnsweredPage) -> Iterator[Request | Page]:
        if self.page is None:
            self.page = page
            if page.records and self.item_class is None:
                with suppress(CloseSpider):  # without a key the rest is still worth knowing
                    self.begin(page)
        self.step = self.walk.step_after(page)
        self.tries += 1
        if self.tries <= TRIES_MAX and (page is self.page or self.step.is_repeat):
            for following in self.step.requests[:1]:
                yield self.page_request(replace(following, url=self.checked(following.url)))

    def requests_done(self) -> None:
        """An inspection does not look for the end of the list."""

    @property
    def found(self) -> Pagination | None:
        """The strategy that brought a second page, or that the first page suggests."""
        if self.page is None or self.step is None:
            return None
        return self.step.strategy

    def report(self) -> list[str]:
        """The lines to print; none if there was no page."""
        if self.page is None or self.step is None or not self.page.records:
            return []
        lines = [*self._findings(self.page, self.step), "", self._command()]
        if self.item_class is None:
            return lines
        is_known = self.found or self.step.end
        return [*lines, "", *self._spider()] if is_known else lines

    def _findings(self, page: AnsweredPage, step: Step) -> Iterator[str]:
        cut = page.request.cut
        assert cut
        where = cut.expression() or "the list itself"
        yield f"records     {where}: {len(page.records)} on the first page"
        yield f"first one   {bytes(page.records[0])[:SAMPLE_MAX].decode('utf-8', 'replace')}"
        missing = self.outcome.reason.message if self.outcome.reason else ""
        yield f"key         {', '.join(cut.keys) if self.item_class else missing}"
        yield f"pagination  {self._pagination(step)}"
        for total in page.signs.totals:
            yield f"total       {total.name} says {total.value} records"
        if self.item_class:
            names = (f"{name} {kind.sql}" for name, kind in self._columns())
            yield f"columns     {', '.join(names)}"

    def _pagination(self, step: Step) -> str:
        if step.note:
            return step.note
        if self.found:
            return f"likely {' '.join(command_arguments(self.found))}"
        reason = step.end or step.problem
        return reason or "by one of the usual parameters; the crawl finds out which"

    def _arguments(self) -> list[str]:
        given = {name: value for name, value in self.arguments.items() if name != "pagination"}
        told = [f"{name}={value}" for name, value in given.items()]
        keys = ",".join(self.page.request.cut.keys) if self.page and self.page.request.cut else "id"
        if "key" not in given and keys != "id":
            told.append(f"key={keys if self.item_class else 'FIELD'}")
        # What only seems likely is left to the crawl to find out.
        is_certain = bool(self.found and self.step and self.step.note)
        return [*told, *(command_arguments(self.found) if is_certain else [])]

    def _command(self) -> str:
        return f"{program()} crawl next {in_shell(self._arguments())}"

    def _columns(self) -> list[tuple[str, ColumnType]]:
        assert self.item_class
        return [(c.name, c.type) for c in columns(self.item_class) if c.name != "extra"]

    def _spider(self) -> Iterator[str]:
        """A spider for a file of ``spiders/``."""
        strategy: Any = self.found
        table = str(self.table)
        title = "".join(word.capitalize() for word in table.split("_"))
        made = _constructor(strategy) if strategy else "SinglePage()"
        yield "from typing import ClassVar"
        yield ""
        yield f"from coinspider import {', '.join(sorted(self._imports(made)))}"
        yield ""
        yield f"class {title}(TableItem, kw_only=True):"
        yield f'    table: ClassVar[str] = "{table}"'
        yield from self._fields()
        yield ""
        yield f"class {title}Spider(PaginatedSpider):"
        yield f'    name = "{table}"'
        yield f"    url = {self.url!r}"
        yield f"    item_class = {title}"
        yield f"    pagination = {made}"
        yield f"    records = {self._cut().expression()!r}"

    def _fields(self) -> Iterator[str]:
        for name, kind in self._columns():
            if name in self._cut().keys:
                yield f"    {name}: {DECLARED_KEY[kind]}"
            elif kind in DECLARED:
                yield f"    {name}: {DECLARED[kind]} | None = None"

    def _cut(self) -> Cut:
        assert self.page
        assert self.page.request.cut
        return self.page.request.cut

    def _imports(self, made: str) -> set[str]:
        keys = self._cut().keys
        kinds = {
            (DECLARED_KEY if name in keys else DECLARED).get(kind, "")
            for name, kind in self._columns()
        }
        named = {name for name in kinds if name[:1].isupper()}
        return {"PaginatedSpider", "TableItem", made.partition("(")[0], *named}


def _constructor(strategy: Any) -> str:
    """The call that makes a strategy, without default arguments."""
    given = [
        f"{f.name}={getattr(strategy, f.name)!r}"
        for f in fields(strategy)
        if getattr(strategy, f.name) != f.default
    ]
    return f"{type(strategy).__name__}({', '.join(given)})"
