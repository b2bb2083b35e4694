"""``/rejected``: the records that could not be stored, by their reasons."""

from psycopg import Connection

from coinspider.daemon.views.view import Arguments, Body, DatabaseView, number, render
from coinspider.errors import ViewError
from coinspider.store.rejected import (
    RejectedFilter,
    list_rejected_reasons,
    list_rejected_records,
)

LIMIT = 50
TEXT_MAX = 4000  # characters of each record in a list


class RejectedPage(DatabaseView):
    """Records with their reasons: all, those of a ``crawl`` or with a ``reason``, or a ``record``.

    One record alone is shown whole.
    """

    section = "rejected"

    def answer(self, connected: Connection, arguments: Arguments, **known: object) -> Body:
        page = number(arguments, "page", 1)
        kept = {name: arguments[name] for name in ("crawl", "reason") if arguments.get(name)}
        crawl = number(arguments, "crawl", 1) if "crawl" in kept else None
        record = number(arguments, "record", 1) if arguments.get("record") else None
        which = RejectedFilter(crawl, kept.get("reason"), record)
        records = list_rejected_records(connected, LIMIT + 1, (page - 1) * LIMIT, which).dicts()
        if record and not records:
            raise ViewError(404, f"There is no rejected record {record}, or no longer.")
        return render(
            "rejected.html",
            **known,
            rejected=records[:LIMIT],
            more=len(records) > LIMIT,
            page=page,
            crawl=crawl,
            record=record,
            reason=kept.get("reason"),
            reasons=list_rejected_reasons(connected, crawl).dicts(),
            arguments=kept,
            text_max=None if record else TEXT_MAX,
        )
