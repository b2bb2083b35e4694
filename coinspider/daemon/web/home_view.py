"""The start page: is it running, how old is the data, what failed last, what comes next."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection

from coinspider.daemon.database import database_url
from coinspider.daemon.web.crawl_views import describe_schedules, tell
from coinspider.daemon.web.view import Arguments, Body, DatabaseView, render
from coinspider.errors import NothingCrawledError
from coinspider.store.api_usage import list_api_usage
from coinspider.store.crawl_queries import list_crawls
from coinspider.store.database_url import describe

# The latest crawls show how things are; older ones are on their own page.
_LOOKED_AT = 300
# Data is late after this many periods of its schedule.
_LATE = 3


class Home(DatabaseView):
    """At ``/``, instead of scrapyd's own first page."""

    section = ""

    def prepare(self) -> dict[str, Any]:
        return describe_schedules(self.root) | {"projects": self.root.scheduler.list_projects()}

    def answer(self, connected: Connection, arguments: Arguments, **known: Any) -> Body:
        try:
            with connected.transaction():
                crawls = list_crawls(connected, _LOOKED_AT).dicts()
        except NothingCrawledError:
            crawls = []
        for crawl in crawls:
            crawl["ended_at"] = datetime.fromtimestamp(
                crawl["started_at"].timestamp() + crawl["seconds"], UTC
            )
        failed = next((crawl for crawl in crawls if crawl["outcome"] in ("failed", "died")), None)
        sources = _sources(crawls)
        tell([*sources, *filter(None, [failed])], self.root, known["periods"])
        return render(
            "home.html",
            **known, running=[crawl for crawl in crawls if crawl["outcome"] == "running"],
            sources=[source | {"late": _is_late(source)} for source in sources], failed=failed,
            healed=bool(failed) and _is_healed(failed, sources), is_empty=not crawls,
            coming=_coming(known["schedules"]), database=describe(database_url()),
            usage=list_api_usage(connected),
            today=f"{datetime.now(UTC):%Y-%m-%d}",
        )  # fmt: skip


def _sources(crawls: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last complete crawl of each spider and currency, the newest first."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for crawl in crawls:
        if crawl["outcome"] == "complete":
            found.setdefault((crawl["spider"], crawl["currency"]), crawl)
    return list(found.values())


def _is_late(source: Mapping[str, Any]) -> bool:
    age = (datetime.now(UTC) - source["ended_at"]).total_seconds()
    return bool(source["period"]) and age > _LATE * source["period"]


def _is_healed(failed: Mapping[str, Any] | None, sources: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the same source has been complete since it failed."""
    return any(
        failed and source["id"] > failed["id"] and source["spider"] == failed["spider"]
        and source["currency"] == failed["currency"] for source in sources
    )  # fmt: skip


def _coming(schedules: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The schedules that run again, the next one first."""
    return sorted((s for s in schedules if s["next_time"]), key=lambda s: str(s["next_time"]))
