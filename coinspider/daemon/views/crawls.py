"""``/crawls``: schedules, runs, what to do about failed ones; ``/rejected``: rejected records."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from time import time
from typing import NamedTuple, cast

from psycopg import Connection
from twisted.web import error

from coinspider.crawl.outcome import EXIT_STATUS
from coinspider.daemon.api.endpoints import may_be_sent
from coinspider.daemon.database import database_url, view_error
from coinspider.daemon.gate.browsers import TxRequest
from coinspider.daemon.gate.sessions import TOKEN
from coinspider.daemon.nodes import DATABASE_ERRORS, this_node
from coinspider.daemon.outcomes import Crawl
from coinspider.daemon.protocols import Root
from coinspider.daemon.schedules.budget_facts import read_plan
from coinspider.daemon.schedules.schedule import Schedule
from coinspider.daemon.schedules.service import schedule_service
from coinspider.daemon.views.charts import Bar, BarChart, bar_chart
from coinspider.daemon.views.overview import (
    FAILED_JOBS,
    LOOKED_AT,
    Described,
    describe_schedules,
    find_crawls,
    read_overview,
    tell,
)
from coinspider.daemon.views.view import (
    HTML,
    Arguments,
    DatabaseView,
    Format,
    Frame,
    View,
    error_page,
    number,
    page_of,
    render,
)
from coinspider.errors import ViewError
from coinspider.secrets import MASK
from coinspider.store.crawl import (
    NO_SCHEDULE,
    list_latest_runs,
    read_crawl_arguments,
)
from coinspider.store.database_url import describe
from coinspider.store.fetch import unless_missing
from coinspider.store.rejected import (
    RejectedFilter,
    list_rejected_reasons,
    list_rejected_records,
)
from coinspider.text import counted, readable, readable_seconds

# By the form's field ``action``; the other fields are those of the endpoint.
ENDPOINTS = {
    "run": b"runschedule.json",
    "pause": b"pauseschedule.json",
    "resume": b"resumeschedule.json",
    "again": b"schedule.json",
    "cancel": b"cancel.json",
}
_STARTED = "It was started: its run is shown here as soon as its process has begun to crawl."
DONE = {
    "run": _STARTED,
    "again": _STARTED,
    "pause": "It is paused: no run begins until it is resumed.",
    "resume": "It is resumed.",
    "cancel": "It was told to stop: it stores what it has, and ends.",
}
"""What to say on the page that follows an action."""
# The page's own query, to which the browser returns.
_QUERY = re.compile(r"\?[\w.%=&+-]+", re.ASCII)
_MESSAGE_MAX = 40  # characters of what was sent
LIMIT = 50
PLANNED = 20
OUTCOMES = ("running", *EXIT_STATUS, "died")
CHARTED = 40  # runs of each schedule


class RunChart(NamedTuple):
    """The latest runs of a schedule, and all of them in one sentence."""

    schedule: str
    chart: BarChart
    summary: str
    first: datetime
    last: datetime
    marks: Sequence[tuple[float, float, str, str]]


def _error_with_jobs(error: ViewError, frame: Frame) -> str:
    """The page of an error, with the failed jobs that are known without the database."""
    failed = this_node().failed_jobs.known(FAILED_JOBS)
    return render(
        "error.html",
        **frame,
        status=error.status,
        message=str(error),
        failed_jobs=failed,
    )


WITH_JOBS = Format(HTML, error=_error_with_jobs)


def add_repeats(crawls: Iterable[Crawl], sent: Mapping[int, Mapping[str, str]]) -> None:
    """Add the arguments with which each can be run again.

    ``None`` where that is not allowed, or where a secret among them was not stored.
    """
    for crawl in crawls:
        arguments = sent.get(crawl["id"] or 0, {})
        crawl["arguments"] = arguments
        is_whole = not any(MASK in str(value) for value in arguments.values())
        crawl["repeat"] = arguments if is_whole and may_be_sent(arguments) else None


def run_charts(runs: Sequence[Crawl], periods: Mapping[str, float]) -> dict[str, RunChart]:
    """A chart for each schedule, with its own scale."""
    by_schedule = groupby(sorted(runs, key=itemgetter("schedule", "id")), itemgetter("schedule"))
    charts = (_run_chart(name, list(group), periods.get(name)) for name, group in by_schedule)
    return {chart.schedule: chart for chart in charts if chart}


def _run_chart(name: str, runs: Sequence[Crawl], period: float | None) -> RunChart | None:
    texts = [f"{readable_seconds(run['seconds'])}, {run['outcome']}" for run in runs]
    times = [f"{readable(run['started_at'])} UTC" for run in runs]
    bars = [
        Bar(run["seconds"], f"crawl {run['id']}, {time}: {text}", run["outcome"])
        for run, time, text in zip(runs, times, texts, strict=True)
    ]
    chart = bar_chart(bars, period)
    if not chart:
        return None
    marks = [
        ((bar.x + bar.width / 2) / 1000, bar.y / 1000, time, text)
        for bar, time, text in zip(chart.bars, times, texts, strict=True)
    ]
    return RunChart(
        name, chart, _summary(runs), runs[0]["started_at"], runs[-1]["started_at"], marks
    )


def _summary(runs: Sequence[Crawl]) -> str:
    """``12 runs: 11 complete, 1 failed; 2.0 s to 61.0 s, the last 2.6 s``."""
    outcomes = [run["outcome"] for run in runs]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    seconds = [run["seconds"] for run in runs]
    least, most, last = map(readable_seconds, (min(seconds), max(seconds), seconds[-1]))
    spread = f"{least} to {most}, the last {last}" if len(runs) > 1 else last
    return f"{counted(len(runs), 'run')}: {counts}; {spread}"


class CrawlsPage(DatabaseView):
    """The schedules; a page of the runs, each with its share of its schedule's period."""

    def __init__(self, root: Root):
        super().__init__(root, _prepare, "crawls", WITH_JOBS, has_forms=True)

    def render_POST(self, txrequest: TxRequest) -> bytes:
        return act(self.root, txrequest, "crawls")


def _prepare(root: Root) -> View:
    service = schedule_service(root.app)
    running = service.budgeted()
    budgets = [(one, running, service.state[one.name].last_time, PLANNED) for one in running]
    projects = root.scheduler.list_projects()
    return _Runs(describe_schedules(root), possible_actions(root), budgets, projects).answer


class _Runs(NamedTuple):
    """What is known of them without the database."""

    known: Described
    actions: set[str]
    budgets: list[tuple[Schedule, list[Schedule], datetime | None, int]]
    projects: list[str]

    def answer(self, connected: Connection, arguments: Arguments, frame: Frame) -> str:
        page = number(arguments, "page", 1)
        kept = {name: arguments[name] for name in ("schedule", "outcome") if arguments.get(name)}
        if kept.get("outcome", "failed") not in OUTCOMES:
            raise ViewError(400, f"outcome={kept['outcome'][:40]} is none of {', '.join(OUTCOMES)}")
        overview = read_overview(connected, self.known)._asdict()
        return render(
            "crawls.html",
            **frame,
            **overview | self._runs(connected, kept, page, overview["crawls"]),
            database=describe(database_url()),
            projects=self.projects,
            schedules=self.known.schedules,
            actions=self.actions,
            page=page,
            outcomes=OUTCOMES,
            no_schedule=NO_SCHEDULE,
            arguments=kept,
            plans=[read_plan(*budget) for budget in self.budgets],
            done=DONE.get(arguments.get("done", "")),
            stamp=int(time()),
        )

    def _runs(
        self, connected: Connection, kept: Arguments, page: int, latest: Sequence[Crawl]
    ) -> dict[str, object]:
        """A page of them, and the charts of the latest ones of each schedule."""
        begin = (page - 1) * LIMIT
        if kept or begin + LIMIT >= LOOKED_AT:
            latest, begin = find_crawls(connected, LIMIT + 1, begin, **kept), 0
        crawls = [crawl.copy() for crawl in latest[begin : begin + LIMIT + 1]]
        shown, intervals = crawls[:LIMIT], self.known.intervals
        tell(shown, self.known.logs_dir, intervals)
        numbers = [crawl["id"] for crawl in shown if crawl["id"]]
        add_repeats(shown, read_crawl_arguments(connected, numbers) if numbers else {})
        runs = unless_missing(connected, lambda: list_latest_runs(connected, CHARTED).dicts())
        charts = run_charts(cast(list[Crawl], runs or []), intervals)
        return {"crawls": shown, "charts": charts, "more": len(crawls) > LIMIT}


def possible_actions(root: Root) -> set[str]:
    """Those whose endpoint is in ``scrapyd.conf``."""
    return {name for name, path in ENDPOINTS.items() if path in root.children}


def act(root: Root, txrequest: TxRequest, page: str) -> bytes:
    """Do what the form asks for, and go back; the gate has already checked its token."""
    txrequest.args.pop(TOKEN.encode(), None)  # of a program, which the gate does not ask for it
    name, back = _field(txrequest, "action"), _field(txrequest, "back")
    query = back if _QUERY.fullmatch(back) else ""
    if name not in possible_actions(root):
        return _problem(txrequest, f"There is no action {name[:_MESSAGE_MAX]}.", page + query)
    try:
        if name != "again" or not _is_repeated(root, txrequest):
            answer = root.children[ENDPOINTS[name]].render_POST(txrequest)
            if not answer.get("prevstate", True):
                return _problem(txrequest, "That job has ended already.", page + query)
    except error.Error as problem:
        message = (problem.message or b"").decode("utf-8", "replace")
        return _problem(txrequest, message, page + query)
    except DATABASE_ERRORS as problem:
        reason = view_error(problem)
        return _problem(txrequest, str(reason), page + query, reason.status)
    txrequest.setResponseCode(303)
    txrequest.setHeader("Location", f"{page}{query}{'&' if query else '?'}done={name}#done")
    return b""


def _is_repeated(root: Root, txrequest: TxRequest) -> bool:
    """Whether the button was pressed twice: each is for one job, whose id is in the form."""
    job = txrequest.args.get(b"jobid", [b""])[-1].decode("utf-8", "replace")
    return bool(job) and job in _known_jobs(root)


def _known_jobs(root: Root) -> Iterator[str]:
    for queue in root.poller.queues.values():
        yield from (message["_job"] for message in queue.list())
    yield from root.launcher.running_jobs()
    yield from (job.job for job in root.launcher.finished)


def _field(txrequest: TxRequest, name: str) -> str:
    value: bytes = txrequest.args.pop(name.encode(), [b""])[0]
    return value.decode("utf-8", "replace")


def _problem(txrequest: TxRequest, message: str, back: str, status: int = 409) -> bytes:
    return error_page(txrequest, status, message, section="crawls", back=back)


_TEXT_MAX = 4000  # characters of each rejected record in a list


def _rejected(connected: Connection, arguments: Arguments, frame: Frame) -> str:
    """Records with their reasons: all, those of a ``crawl`` or with a ``reason``, or a ``record``.

    One record alone is shown whole.
    """
    page = number(arguments, "page", 1)
    kept = {name: arguments[name] for name in ("crawl", "reason") if arguments.get(name)}
    crawl = number(arguments, "crawl", 1) if "crawl" in kept else None
    record = number(arguments, "record", 1) if arguments.get("record") else None
    which = RejectedFilter(crawl, kept.get("reason"), record)
    is_list = which.reason is None and record is None
    records: list[dict[str, object]] = []
    if not is_list:
        offset = (page - 1) * LIMIT
        records = list_rejected_records(connected, LIMIT + 1, offset, which).dicts()
    if record and not records:
        raise ViewError(404, f"There is no rejected record {record}, or no longer.")
    return render(
        "rejected.html",
        **frame,
        rejected=records[:LIMIT],
        more=len(records) > LIMIT,
        page=page,
        crawl=crawl,
        record=record,
        reason=kept.get("reason"),
        reasons=list_rejected_reasons(connected, crawl).dicts(),
        arguments=kept,
        text_max=None if record else _TEXT_MAX,
    )


RejectedPage = page_of(_rejected, "rejected")
