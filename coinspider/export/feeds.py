"""Feeds: JSON, JSON lines and CSV with the API's own digits; an incomplete one fails the crawl."""

import contextlib
import csv
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from io import BytesIO
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import IO, Any, Self, TextIO
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw
from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.exporters import (
    BaseItemExporter,
    CsvItemExporter,
    JsonItemExporter,
    JsonLinesItemExporter,
)
from scrapy.extensions.feedexport import FeedExporter as ScrapyFeedExporter
from scrapy.extensions.feedexport import FeedSlot
from scrapy.extensions.feedexport import FileFeedStorage as ScrapyFileFeedStorage
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.job import job_dir
from scrapy.utils.python import without_none_values
from scrapy.utils.serialize import ScrapyJSONEncoder

from coinspider.crawl.outcome import fail_crawl, note_failure
from coinspider.crawl.reasons import Reason
from coinspider.errors import ConfigurationError
from coinspider.installation import program
from coinspider.records.table_item import ColumnType, TableItem, columns
from coinspider.secrets import masked
from coinspider.stats import FAILURE_STAT
from coinspider.text import exact, exact_json, without_formula

KnownColumns = Mapping[str, ColumnType | None]
"""The names of the columns, and the types of those that have one."""
NO_COLUMNS: KnownColumns = MappingProxyType({})
NO_WHITE_SPACE = -1
_TEXTS = (str, Raw)
# The package that a format needs beyond requirements.txt.
PACKAGES = {"xlsx": "xlsxwriter", "parquet": "pyarrow", "gsheets": "gspread"}
# Two of them in one file are not valid.
NOT_APPENDABLE = ("json", "xlsx", "parquet")
# As Scrapy looks for it in a feed's name.
_BATCH = r"%\(batch_time\)s|%\(batch_id\)"


def columns_without_rows(
    known: KnownColumns, chosen: Mapping[str, str] | Iterable[str] | None
) -> list[str]:
    """The columns of a file without rows; ``chosen`` is what ``FEED_EXPORT_FIELDS`` says."""
    if chosen is None:
        return list(known)
    return list(chosen.values() if isinstance(chosen, Mapping) else chosen)


def known_columns(crawler: Crawler) -> KnownColumns:
    """Those of the spider's items; none if it learns them from the first page."""
    item_class: type[TableItem] | None = getattr(crawler.spider, "item_class", None)
    return {column.name: column.type for column in columns(item_class)} if item_class else {}


def needed(package: str, purpose: str) -> ModuleType:
    """Its module. If it is not installed, raises :exc:`ConfigurationError` with the command to
    type.
    """
    try:
        return import_module(package)
    except ImportError:
        raise ConfigurationError(
            f"{purpose} needs the package {package}: {program('pip')} install {package}"
        ) from None


class _ExactEncoder(ScrapyJSONEncoder):
    """Writes a ``Decimal`` as a number; Scrapy's own encoder makes it a string."""

    def __init__(self, indent: int | None):
        super().__init__()
        self.exact_indent = indent

    def encode(self, o: object) -> str:
        text = exact_json(o)
        return (
            msgspec.json.format(text, indent=self.exact_indent) if self.exact_indent else text
        ).decode()


class ExactJsonItemExporter(JsonItemExporter):
    """One JSON array."""

    def __init__(self, file: BytesIO, **kwargs: Any):
        super().__init__(file, **kwargs)
        self.encoder = _ExactEncoder(self.indent)


class ExactJsonLinesItemExporter(JsonLinesItemExporter):
    """One JSON object per line."""

    def __init__(self, file: BytesIO, **kwargs: Any):
        super().__init__(file, **kwargs)
        # Line breaks of the API, in extra, would split the line.
        self.encoder = _ExactEncoder(indent=NO_WHITE_SPACE)


class _LineEnds:
    """Ends the lines that ``csv`` writes with a line feed alone.

    ``csv`` quotes a carriage return in a cell only if it ends lines as well.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, line: str) -> None:
        self.stream.write(f"{line[:-2]}\n")


def write_csv(
    stream: TextIO,
    names: Iterable[str],
    rows: Iterable[Iterable[object]],
    formulas_escaped: bool = True,
) -> None:
    """Rows with all digits; text that a spreadsheet takes for a formula gets an apostrophe."""
    writer = csv.writer(_LineEnds(stream), lineterminator="\r\n")
    writer.writerow(csv_text(name, formulas_escaped) for name in names)
    writer.writerows(
        [
            csv_text(exact(value), formulas_escaped) if type(value) in _TEXTS else exact(value)
            for value in row
        ]
        for row in rows
    )


def csv_text(text: str, formulas_escaped: bool) -> str:
    return without_formula(text) if formulas_escaped else text


class ExactCsvItemExporter(CsvItemExporter):
    """Amounts with the API's own digits, times as ISO 8601, ``extra`` as JSON.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, unless
    ``formulas_escaped`` is false.
    """

    def __init__(self, file: BytesIO, *, formulas_escaped: bool = True, **kwargs: Any):
        super().__init__(file, **kwargs)
        self.formulas_escaped = formulas_escaped

    @classmethod
    def from_crawler(cls, crawler: Crawler, file: BytesIO, **kwargs: Any) -> Self:
        escaped = crawler.settings.getbool("CSV_FORMULAS_ESCAPED", True)
        return cls(file, **{"formulas_escaped": escaped} | kwargs)

    def serialize_field(self, field: object, name: str, value: object) -> object:
        if isinstance(value, str):
            return csv_text(value, self.formulas_escaped)
        text = None if value is None else exact_json(value).decode().strip('"')
        return csv_text(text, self.formulas_escaped) if text and isinstance(value, Raw) else text


class RowExporter(BaseItemExporter):
    """For formats of rows: the first item has the names of the columns, or, without one, ``known``.

    A subclass writes the rows, of values as they are in the items.
    """

    def __init__(self, file: BytesIO, *, known: KnownColumns = NO_COLUMNS, **kwargs: Any):
        super().__init__(dont_fail=True, **kwargs)
        self.file, self.known = file, known
        self.names: list[str] = []

    @classmethod
    def from_crawler(cls, crawler: Crawler, file: BytesIO, **kwargs: Any) -> Self:
        return cls(file, **{"known": known_columns(crawler)} | kwargs)

    def export_item(self, item: object) -> None:
        fields = dict(self.get_serialized_fields(item, include_empty=True))
        if not self.names:
            self.begin(item, list(fields))
        self.write_row([fields.get(name) for name in self.names])

    def serialize_field(self, field: object, name: str, value: object) -> object:
        return value

    def begin(self, item: object, names: list[str]) -> None:
        """Take the names, of the first item or of a file without one."""
        self.names = names

    def write_row(self, row: list[object]) -> None:
        raise NotImplementedError

    def finish_exporting(self) -> None:
        if not self.names:
            self.begin(None, columns_without_rows(self.known, self.fields_to_export))


class FileFeedStorage(ScrapyFileFeedStorage):
    """A file that is replaced only when the new one is whole, if there is one already.

    A crawl that fails before its first record leaves the old one.
    """

    def __init__(self, crawler: Crawler, uri: str, feed_options: dict[str, object]):
        super().__init__(uri, feed_options=feed_options)
        self.crawler, self.beside = crawler, Path(self.path + ".part")

    @classmethod
    def from_crawler(cls, crawler: Crawler, uri: str, *, feed_options: dict[str, object]) -> Self:
        return cls(crawler, uri, feed_options)

    def open(self, spider: Spider) -> IO[bytes]:
        if self.write_mode == "wb" and _has_bytes(self.path) and not Path(self.path).is_symlink():
            with contextlib.suppress(OSError):  # a folder in which nothing can be made
                file = self.beside.open("wb")
                shutil.copymode(self.path, self.beside)
                return file
        return super().open(spider)

    def store(self, file: IO[bytes]) -> None:
        super().store(file)
        if file.name != str(self.beside):
            return
        stats = self.crawler.stats
        if stats.get_value("item_scraped_count") or not stats.get_value(FAILURE_STAT):
            self.beside.replace(self.path)
        else:
            self.beside.unlink()


class FeedExporter(ScrapyFeedExporter):
    """Does not start a crawl whose feed can't be written, and fails one whose feed was not.

    Scrapy itself logs a traceback per item, and calls the crawl finished.
    """

    def __init__(self, crawler: Crawler):
        try:
            super().__init__(crawler)
        except NotConfigured:
            if crawler.settings["FEEDS"]:
                raise ConfigurationError(_what_there_is(crawler)) from None
            raise
        folder = job_dir(crawler.settings)
        self.batches = Path(folder, "feed_batches") if folder else None
        known = self.batches and self.batches.exists() and self.batches.read_text()
        self.earlier_batches = self.last_batch = int(known or 0)
        for uri, options in self.feeds.items():
            name = options["format"]
            if name in PACKAGES:
                needed(PACKAGES[name], f"a feed in the format {name}")
            if name in NOT_APPENDABLE and not options.get("overwrite") and _has_bytes(uri):
                raise ConfigurationError(
                    f"nothing can be appended to {masked(uri)}:"
                    " -O replaces it, and .jsonl and .csv grow"
                )

    def _get_uri_params(self, *args: Any) -> dict[str, Any]:
        """A job that is resumed goes on numbering its batches, which would replace the first."""
        params: dict[str, Any] = super()._get_uri_params(*args)
        if self.batches and "batch_id" in params:  # unless the user's own function has others
            params["batch_id"] += self.earlier_batches
            self.last_batch = max(self.last_batch, params["batch_id"])
            self.batches.write_text(str(self.last_batch))
        return params

    def open_spider(self, spider: Spider) -> None:
        super().open_spider(spider)
        for slot in self.slots:
            self._watch(slot)
        self._each(lambda slot: slot.start_exporting() if slot.store_empty else None)

    def item_scraped(self, item: object, spider: Spider) -> None:
        self._each(lambda _: super(FeedExporter, self).item_scraped(item, spider))

    async def close_spider(self, spider: Spider) -> None:
        # Only after that does each close or store its file.
        self._each(_finish)
        await super().close_spider(spider)

    def _each(self, do: Callable[[FeedSlot], None]) -> None:
        """Handle each slot separately, and go on without those that fail."""
        slots, working = self.slots, []
        for slot in slots:
            self.slots = [slot]
            try:
                do(slot)
            except Exception as error:
                self._fail(slot, error)
            else:
                for following in self.slots:
                    if following is not slot:  # the next batch; Scrapy closes this one in a task
                        self._watch(following)
                working += self.slots
        self.slots = working

    def _watch(self, slot: FeedSlot) -> None:
        """Name the feed, or the batch, that can't be finished or stored; Scrapy only counts it."""
        finish, store = slot.finish_exporting, slot.storage.store
        problems: list[Exception] = []

        def finish_or_keep() -> None:
            try:
                finish()
            except Exception as error:
                problems.append(error)

        async def store_or_tell(file: IO[bytes]) -> None:
            try:
                for problem in problems:
                    raise problem
                await ensure_awaitable(store(file))
            except Exception as error:
                self._fail(slot, error)
                raise

        # The classes must not change: Scrapy names a stat after the storage's.
        slot.finish_exporting = finish_or_keep  # type: ignore[method-assign]
        slot.storage.store = store_or_tell  # type: ignore[assignment, method-assign]

    def _fail(self, slot: FeedSlot, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        message = masked(f"the feed {slot.uri} could not be written: {reason}")
        if slot.file:
            with contextlib.suppress(OSError):
                slot.file.close()
        note = note_failure if self.crawler.engine.spider is None else fail_crawl
        note(self.crawler, Reason("feed_failed", {"why": message}))


def _finish(slot: FeedSlot) -> None:
    """Once and for all: Scrapy would begin a feed without items again, and write ``[][]``."""
    FeedSlot.finish_exporting(slot)  # not the watched one: its failure ends the slot
    slot.start_exporting = lambda: None  # type: ignore[method-assign]


def _what_there_is(crawler: Crawler) -> str:
    settings = crawler.settings
    formats = ", ".join(without_none_values(settings.getwithbase("FEED_EXPORTERS")))
    schemes = ", ".join(filter(None, without_none_values(settings.getwithbase("FEED_STORAGES"))))
    uris = list(map(str, settings.getdict("FEEDS")))
    feeds = ", ".join(map(masked, uris))
    in_batches = settings.getint("FEED_EXPORT_BATCH_ITEM_COUNT")
    if in_batches and not all(re.search(_BATCH, uri) for uri in uris):
        return f"batches need %(batch_id)d or %(batch_time)s in the name of each feed: {feeds}"
    return (
        f"no feed can go to {feeds}: there are the formats {formats}, and files or the schemes"
        f" {schemes}, of which some need a package (see the log)"
    )


def _has_bytes(uri: str) -> bool:
    path = Path(urlsplit(uri).path if uri.startswith("file:") else uri)
    with contextlib.suppress(OSError):
        return path.is_file() and path.stat().st_size > 0
    return False
