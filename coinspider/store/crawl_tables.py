"""The tables a crawl writes: made before its first request, their history kept at its end."""

import logging
from functools import partial

from coinspider.records.table_item import TableItem
from coinspider.store.connect import CrawlConnection, one_line
from coinspider.store.history import HistorySettings, keep_partitions
from coinspider.store.migration import migrate, table_names
from coinspider.store.reconnecting import SESSION_ERRORS, ReconnectingConnection

logger = logging.getLogger(__name__)

HISTORY_TIMEOUT = 600.0
"""Seconds for one statement: a day of changes is rolled up by one."""


class CrawlTables:
    """The tables of each item class of a crawl, and what its history needs."""

    def __init__(self, history: HistorySettings):
        self.history = history
        self.prepared: set[type[TableItem] | None] = set()

    def names(self) -> set[str]:
        return {name for item_class in self.prepared for name in table_names(item_class)}

    async def migrate(
        self, connection: CrawlConnection, item_class: type[TableItem] | None
    ) -> None:
        """Create the tables, or add what they lack."""
        await migrate(connection, item_class, self.history.enabled)
        if self.history.enabled and item_class and (table := item_class.history_table):
            await keep_partitions(connection, table, self.history.lateness)
            if item_class.candle_table:
                from coinspider.store.candles import make_views  # only with a history

                await make_views(connection, item_class)
        self.prepared.add(item_class)

    async def keep_history(self, connection: ReconnectingConnection) -> None:
        """Roll up what is old; the next crawl does whatever can't be done now."""
        for item_class in self.prepared if self.history.enabled else ():
            if not (item_class and item_class.history_table):
                continue
            from coinspider.store.candles import keep_history  # only with a history

            keep = partial(keep_history, item_class=item_class, settings=self.history)
            try:
                await connection.run(keep)
            except SESSION_ERRORS as error:
                logger.warning("The history is not rolled up: %s", one_line(error))
