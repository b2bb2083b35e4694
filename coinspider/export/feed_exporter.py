"""Scrapy's feeds, except that an incomplete feed fails the crawl."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from scrapy import Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.extensions.feedexport import FeedExporter as ScrapyFeedExporter
from scrapy.extensions.feedexport import FeedSlot
from scrapy.utils.defer import ensure_awaitable
from scrapy.utils.python import without_none_values

from coinspider.crawl.failure import fail_crawl, note_failure
from coinspider.errors import ConfigurationError
from coinspider.export.packages import needed
from coinspider.text import without_password

# The module and package that a format needs beyond requirements.txt.
PACKAGES = {
    "xlsx": ("openpyxl", "openpyxl"),
    "parquet": ("pyarrow", "pyarrow"),
    "gsheets": ("gspread", "gspread"),
}
# Two of them in one file are not valid.
NOT_APPENDABLE = ("json", "xlsx", "parquet")
# As Scrapy looks for it in a feed's name.
_BATCH = r"%\(batch_time\)s|%\(batch_id\)"


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
        for uri, options in self.feeds.items():
            name = options["format"]
            if name in PACKAGES:
                needed(*PACKAGES[name], f"a feed in the format {name}")
            if name in NOT_APPENDABLE and not options.get("overwrite") and _has_bytes(uri):
                raise ConfigurationError(
                    f"nothing can be appended to {without_password(uri)}:"
                    " -O replaces it, and .jsonl and .csv grow"
                )

    def open_spider(self, spider: Spider) -> None:
        super().open_spider(spider)
        for slot in self.slots:
            self._watch(slot)
        self._each(lambda slot: slot.start_exporting() if slot.store_empty else None)

    def item_scraped(self, item: Any, spider: Spider) -> None:
        self._each(lambda _: super(FeedExporter, self).item_scraped(item, spider))

    async def close_spider(self, spider: Spider) -> None:
        # Only after that does each close or store its file.
        self._each(FeedSlot.finish_exporting)
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
        message = without_password(f"the feed {slot.uri} could not be written: {reason}")
        if slot.file:
            with contextlib.suppress(OSError):
                slot.file.close()
        if self.crawler.engine.spider is None:
            note_failure(self.crawler, "feed_failed", message)
        else:
            fail_crawl(self.crawler, "feed_failed", message)


def _what_there_is(crawler: Crawler) -> str:
    settings = crawler.settings
    formats = ", ".join(without_none_values(settings.getwithbase("FEED_EXPORTERS")))
    schemes = ", ".join(filter(None, without_none_values(settings.getwithbase("FEED_STORAGES"))))
    uris = list(map(str, settings.getdict("FEEDS")))
    feeds = ", ".join(map(without_password, uris))
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
