"""The content of an alert."""

import socket
from datetime import UTC, datetime
from typing import Any, NamedTuple

from coinspider.text import visible

DATABASE = "database"
TITLES = {
    "failed": "crawls fail",
    "stale": "the data is old",
    "recovered": "crawls are complete again",
    "test": "a test",
}
DATABASE_TITLES = {"failed": "no crawl can store anything", "recovered": "it is there again"}


class Alert(NamedTuple):
    """``subject`` is the name of a schedule, or :data:`DATABASE`."""

    subject: str
    status: str
    message: str
    job: str | None = None
    crawl: int | None = None

    @property
    def title(self) -> str:
        titles = DATABASE_TITLES if self.subject == DATABASE else TITLES
        return f"{self.subject}: {titles[self.status]}"

    def fields(self) -> dict[str, Any]:
        """As JSON has it; ``time`` is now, in UTC."""
        message = visible(self.message)
        return {
            "status": self.status,
            "schedule": self.subject,
            "title": self.title,
            "message": message,
            "text": f"{self.title}\n{message}".strip(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "job": self.job,
            "crawl": self.crawl,
        }
