"""How long rows are kept that nothing replaces: those of crawls and of rejected records."""

import logging
from collections.abc import Iterator
from typing import LiteralString, NamedTuple, Self

from psycopg import AsyncConnection, Connection, errors
from scrapy.settings import BaseSettings

from coinspider.setting_kinds import whole_number
from coinspider.store.connection import one_line

logger = logging.getLogger(__name__)

# Only the oldest rows are looked at, so that the end of a crawl takes no longer in a large table.
# The first complete crawl of a currency stays: coins that came later are new.
_FORGET_CRAWLS = """
DELETE FROM crawl WHERE id IN (
    SELECT id FROM (SELECT * FROM crawl ORDER BY id LIMIT 2000) AS old
    WHERE ended_at < now() - %(days)s * interval '1 day' AND (
        outcome IS DISTINCT FROM 'complete' OR whole IS FALSE OR EXISTS (
            SELECT FROM crawl AS earlier
            WHERE earlier.id < old.id AND earlier.outcome = 'complete'
                AND earlier.whole IS NOT FALSE
                AND earlier.vs_currency IS NOT DISTINCT FROM old.vs_currency
        )
    )
)
"""
_FORGET_REJECTED = """
DELETE FROM rejected_record WHERE id IN (
    SELECT id FROM rejected_record
    WHERE coalesce(last_rejected_at, rejected_at) < now() - %(days)s * interval '1 day'
    LIMIT 10000
)
"""
# Those of a key that is no longer in use; a key in use has one row, and one more a month.
_FORGET_USAGE = """
DELETE FROM api_usage WHERE month < now() - %(days)s * interval '1 day' - interval '1 month'
"""
_FORGET_ACCOUNTS = """
DELETE FROM api_account WHERE updated_at < now() - %(days)s * interval '1 day'
"""


class Retention(NamedTuple):
    """``CRAWL_RETENTION_DAYS`` and ``REJECTED_RETENTION_DAYS``; 0 is for ever."""

    crawl_days: int
    rejected_days: int

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Raises :exc:`~coinspider.errors.ConfigurationError`."""
        return cls(
            whole_number(settings, "CRAWL_RETENTION_DAYS"),
            whole_number(settings, "REJECTED_RETENTION_DAYS"),
        )

    async def forget(self, connection: AsyncConnection) -> None:
        """Delete what has been kept long enough; at most 2,000 crawls at once."""
        try:
            async with connection.transaction():
                for statement, values in self._statements():
                    await connection.execute(statement, values)
        except errors.InsufficientPrivilege as error:
            logger.info("Old rows are kept: %s", one_line(error))

    def forget_now(self, connection: Connection) -> None:
        """The same for scrapyd, which does it where no crawl comes to its end."""
        for statement, values in self._statements():
            connection.execute(statement, values)

    def _statements(self) -> Iterator[tuple[LiteralString, dict[str, int]]]:
        if self.rejected_days:
            yield _FORGET_REJECTED, {"days": self.rejected_days}
        if self.crawl_days:
            for statement in (_FORGET_CRAWLS, _FORGET_USAGE, _FORGET_ACCOUNTS):
                yield statement, {"days": self.crawl_days}
