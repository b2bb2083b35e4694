"""What a job may be, and the runs of jobs: in the table ``fleet_run`` those of all nodes.

A run is a job's process on a node. Its row has the end of its log, for the other nodes.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.rows import class_row
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.project import get_project_settings
from scrapyd import Config
from scrapyd.utils import get_project_list

from coinspider.daemon import database
from coinspider.daemon.configuration import sections
from coinspider.daemon.protocols import JobProcess, Message
from coinspider.daemon.queue import ROWS_MAX, Queue, message_of
from coinspider.errors import ConfigurationError
from coinspider.setting_kinds import parse_arguments
from coinspider.store.schema import FLEET_RUN

if TYPE_CHECKING:
    from procrastinate.jobs import Job

PROJECT = "coinspider"
# scrapyd's names for the project in its own folder, whose spiders can be inspected.
_OWN_PROJECTS = (PROJECT, "default")
JOB = re.compile(r"[\w.:-]{1,200}")
# Arguments that lead a crawl to another address.
ADDRESSES = frozenset({"url"})


def check_project(config: Config, project: str) -> None:
    """Raise :exc:`ConfigurationError` for a project that scrapyd does not have."""
    known = get_project_list(config)
    if project not in known:
        raise ConfigurationError(f"there is no project {project}: there are {', '.join(known)}")


def check_spider(project: str, spider: str) -> None:
    """Raise :exc:`ConfigurationError` for a spider that this project does not have.

    An egg's spiders are known only in its own process.
    """
    if project in _OWN_PROJECTS and spider not in spiders():
        raise ConfigurationError(f"no spider is named {spider}: there are {', '.join(spiders())}")


def check_spider_arguments(project: str, spider: str, given: Mapping[str, str]) -> None:
    """Raise :exc:`ConfigurationError` for an argument that the command line would reject."""
    spider_class = spiders().get(spider) if project in _OWN_PROJECTS else None
    declaration = getattr(spider_class, "arguments_class", None)
    if declaration:
        parse_arguments(declaration, dict(given))
    elif replaced := [name for name in given if hasattr(spider_class, name)]:
        raise ConfigurationError(f"the spider {spider} has no argument {', '.join(replaced)}")


def names_in(config: Config, option: str) -> frozenset[str]:
    """The names in an option such as ``settings_allowed``."""
    return frozenset(config.get(option, "").replace(",", " ").split())


class JobRules:
    """What a job may be, whoever wrote it into the queue: a row may not what ``schedule.json`` may
    not, except for what the schedules of this scrapyd's own files say.
    """

    def __init__(self, config: Config):
        self.settings = names_in(config, "settings_allowed")
        self.addresses = ADDRESSES - names_in(config, "arguments_allowed")
        self.has_eggs = config.getboolean("egg_upload", False)
        self.scheduled = {
            (name.lower(), value)
            for section, options in sections(config).items()
            if section.startswith("schedule:")
            for name, value in options.items()
        }

    def check(self, message: Message, arguments: Mapping[str, str]) -> None:
        """Raise :exc:`ConfigurationError` for a message that scrapyd must not run."""
        texts = [*arguments, *arguments.values(), message["_spider"], message["_project"]]
        if not JOB.fullmatch(str(message["_job"])) or any("\0" in str(text) for text in texts):
            raise ConfigurationError("its id, its spider or an argument is none that can be sent")
        if message.get("_version") and not self.has_eggs:
            raise ConfigurationError("it runs an egg, and scrapyd.conf has no egg_upload = yes")
        check_spider(message["_project"], message["_spider"])
        for name, value in dict(message.get("settings") or {}).items():
            self._check_origin("setting", name, value, name in self.settings)
        for name in self.addresses & arguments.keys():
            self._check_origin("argument", name, arguments[name], False)
        check_spider_arguments(message["_project"], message["_spider"], arguments)

    def _check_origin(self, kind: str, name: str, value: object, is_allowed: bool) -> None:
        if not is_allowed and (f"{kind}.{name}".lower(), str(value)) not in self.scheduled:
            raise ConfigurationError(
                f"its {kind} {name} is neither allowed by scrapyd.conf nor that of a schedule there"
            )


@cache
def spiders() -> dict[str, type]:
    """The spider classes of this project, by name."""
    loader = SpiderLoader.from_settings(get_project_settings())
    return {name: loader.load(name) for name in sorted(loader.list())}


TAIL_BYTES = 16_384
_COLUMNS = """
id, queue_id, project, spider, job, node, process_id AS pid,
started_at AS start_time, ended_at AS end_time, outcome
"""
_BEGIN = """
INSERT INTO fleet_run (queue_id, project, spider, job, node, process_id)
VALUES (%s, %s, %s, %s, %s, %s) RETURNING id
"""
_TAIL = "UPDATE fleet_run SET log_tail = %s WHERE id = %s AND ended_at IS NULL"
_END = """
UPDATE fleet_run SET ended_at = now(), outcome = %s, log_tail = %s
WHERE id = %s AND ended_at IS NULL
"""
_LOST = """
UPDATE fleet_run SET ended_at = now(), outcome = 'lost' WHERE ended_at IS NULL AND node <> ALL (
    SELECT name FROM fleet_node
)
"""
_LOST_OF = """
UPDATE fleet_run SET ended_at = now(), outcome = 'lost' WHERE ended_at IS NULL AND node = %s
"""
_COUNT_LOST = "SELECT count(*) FROM fleet_run WHERE queue_id = %s AND outcome = 'lost'"
# A job's own row: whether its crawl has ended, and whether its process still keeps its lease.
_CRAWL = """
SELECT ended_at IS NOT NULL AND outcome NOT IN ('died', 'interrupted') AS has_ended,
       ended_at IS NULL AND lease_until > now() AS is_alive
FROM crawl WHERE job = %s ORDER BY id DESC LIMIT 1
"""
_RUNNING = f"""
SELECT {_COLUMNS} FROM {FLEET_RUN.sound} WHERE ended_at IS NULL ORDER BY id LIMIT {ROWS_MAX}
"""  # noqa: S608
_FINISHED = f"""
SELECT {_COLUMNS} FROM {FLEET_RUN.sound} WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT %s
"""  # noqa: S608
_COUNT = "SELECT count(*) FROM fleet_run WHERE ended_at IS NOT NULL"
# As long as a job is in the queue, how often it was lost must be known.
_FORGET = """
DELETE FROM fleet_run WHERE id IN (
    SELECT id FROM fleet_run WHERE ended_at IS NOT NULL ORDER BY ended_at DESC OFFSET %s
) AND NOT EXISTS (SELECT FROM procrastinate_jobs WHERE procrastinate_jobs.id = queue_id)
"""
_FIND_TAIL = """
SELECT node, log_tail FROM fleet_run WHERE project = %s AND spider = %s AND job = %s
ORDER BY id DESC LIMIT 1
"""


class JobRun(NamedTuple):
    """One run of a job. Times are local, without a zone, as in scrapyd."""

    id: int
    queue_id: int | None
    project: str
    spider: str
    job: str
    node: str
    pid: int | None
    start_time: datetime
    end_time: datetime | None
    outcome: str | None


class RunNote(NamedTuple):
    """A run of this node, or the ``outcome`` of one, that the database does not have yet."""

    process: JobProcess
    outcome: str | None = None


class NodeJobs:
    """The jobs that this node has taken from the queue, until their end is recorded.

    Methods that wait for the database are for threads; the others are for the reactor's. What
    begins and ends while the database is away is recorded when it is back.
    """

    def __init__(self, queue: Queue, node: str, logs_dir: str, finished_to_keep: int):
        self.queue, self.node = queue, node
        self.logs_dir, self.finished_to_keep = Path(logs_dir), finished_to_keep
        self.queue_ids: dict[str, int] = {}
        self.run_ids: dict[str, int] = {}
        self.processes: dict[str, JobProcess] = {}
        self.cancelled: set[str] = set()
        self.interrupted: set[str] = set()
        self.notes: deque[RunNote] = deque()
        self.noting = Lock()

    def fetch(self, projects: list[str]) -> Message | None:
        """Take the next job, as scrapyd's message; ``None`` if none waits. For threads."""
        job = self.queue.fetch(projects)
        while job and job.attempts and self._has_ended(job):
            job = self.queue.fetch(projects)
        if job is None:
            return None
        message = message_of(job.id, job.task_kwargs)
        assert job.id is not None
        self.queue_ids[message["_job"]] = job.id
        return message | {"_project": job.queue, "_spider": message.pop("name")}

    def _has_ended(self, job: "Job") -> bool:
        """A node that was assumed to be dead may have finished it since."""
        ended = has_ended(message_of(job.id, job.task_kwargs)["_job"])
        if ended and job.id is not None:
            self.queue.finish(job.id)
        return ended

    def begin(self, process: JobProcess) -> None:
        """A process of this node runs a job now."""
        self.processes[process.job] = process
        self.notes.append(RunNote(process))

    def end(self, process: JobProcess) -> None:
        """It has ended; :meth:`note` records it, now or with the next heartbeat."""
        self.processes.pop(process.job, None)
        outcome = "interrupted" if process.job in self.interrupted else "ended"
        self.notes.append(RunNote(process, outcome))

    def knows(self, job: str) -> bool:
        """Whether a job runs on this node, or ended here a moment ago."""
        return job in self.processes or any(note.process.job == job for note in self._ends())

    def ended(self) -> list[JobProcess]:
        """The processes whose end the database does not have yet, the last one first."""
        return [note.process for note in reversed(self._ends())]

    def _ends(self) -> list[RunNote]:
        return [note for note in list(self.notes) if note.outcome]

    def keep_tails(self, connection: psycopg.Connection) -> None:
        """Store the ends of the logs of running jobs. For threads, like the following methods."""
        running = list(self.processes.items())
        tails = [(self._tail(process), self.run_ids.get(job, 0)) for job, process in running]
        connection.cursor().executemany(_TAIL, tails)

    def to_cancel(self) -> list[JobProcess]:
        """The processes of jobs that somebody has cancelled, each once."""
        running = dict(self.processes)
        aborts = self.queue.aborts() if running else set()
        return [
            process
            for job, process in running.items()
            if self.queue_ids.get(job) in aborts and job not in self.cancelled
        ]

    def note(self) -> None:
        """Record what has begun and ended, in its order."""
        with self.noting:
            while self.notes:
                note = self.notes[0]
                if note.outcome:
                    self._note_end(note.process, note.outcome)
                else:
                    self._note_begin(note.process)
                self.notes.popleft()

    def _note_begin(self, process: JobProcess) -> None:
        queue_id = self.queue_ids.get(process.job)
        given = [queue_id, process.project, process.spider, process.job, self.node, process.pid]
        with database.brief_transaction() as connection:
            row = connection.execute(_BEGIN, given).fetchone()
        assert row
        self.run_ids[process.job] = row[0]

    def _note_end(self, process: JobProcess, outcome: str) -> None:
        job = process.job
        with database.brief_transaction() as connection:
            connection.execute(_END, [outcome, self._tail(process), self.run_ids.get(job, 0)])
            connection.execute(_FORGET, [self.finished_to_keep])
        if (queue_id := self.queue_ids.get(job)) is not None:
            if outcome == "interrupted":
                self.queue.hand_back(queue_id)
            else:
                self.queue.finish(queue_id)
        self.run_ids.pop(job, None)
        self.queue_ids.pop(job, None)
        self.cancelled.discard(job)

    def hand_back(self) -> None:
        """Jobs that were taken, but neither begun nor ended, go back for another node."""
        with self.noting:
            for queue_id in self.queue_ids.values():
                self.queue.hand_back(queue_id)

    def _tail(self, process: JobProcess) -> str:
        """The end of the log of a job on this node."""
        path = self.logs_dir / process.project / process.spider / f"{process.job}.log"
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL_BYTES))
                return file.read().decode("utf-8", "replace").replace("\0", "\\x00")
        except OSError:
            return ""


class CrawlState(NamedTuple):
    """What a job's own row in ``crawl`` says of it."""

    has_ended: bool = False
    is_alive: bool = False


def crawl_of(connection: psycopg.Connection, job: str) -> CrawlState:
    try:
        with connection.transaction():
            row = connection.execute(_CRAWL, [job]).fetchone()
    except psycopg.errors.UndefinedTable:
        return CrawlState()  # nothing was crawled yet
    return CrawlState(*map(bool, row)) if row else CrawlState()


def has_ended(job: str) -> bool:
    """Whether a job's crawl is over, wherever it ran, and is not to be run again."""
    with database.connection() as connection:
        return crawl_of(connection, job).has_ended


def end_lost_runs(connection: psycopg.Connection, node: str | None = None) -> None:
    """Close the runs of nodes that are gone, or of one that was killed and starts again."""
    connection.execute(_LOST_OF, [node]) if node else connection.execute(_LOST)


def count_lost(connection: psycopg.Connection, queue_id: int) -> int:
    """How many nodes died while they ran a job."""
    row = connection.execute(_COUNT_LOST, [queue_id]).fetchone()
    return int(row[0]) if row else 0


def running_runs(connection: psycopg.Connection) -> list[JobRun]:
    return _local(connection.cursor(row_factory=class_row(JobRun)).execute(_RUNNING))


def finished_runs(connection: psycopg.Connection, limit: int) -> list[JobRun]:
    """The newest first."""
    return _local(connection.cursor(row_factory=class_row(JobRun)).execute(_FINISHED, [limit]))


def count_finished_runs(connection: psycopg.Connection) -> int:
    row = connection.execute(_COUNT).fetchone()
    return int(row[0]) if row else 0


def find_tail(project: str, spider: str, job: str) -> tuple[str, str] | None:
    """The node of a job's last run, and the end of its log. For threads."""
    with database.connection() as connection:
        return connection.execute(_FIND_TAIL, [project, spider, job]).fetchone()


def job_arguments(message: Mapping[str, object]) -> dict[str, str]:
    """The spider's arguments in a message of scrapyd's queue."""
    return {
        name: str(value)
        for name, value in message.items()
        if not name.startswith("_") and name not in ("name", "settings")
    }


def _local(runs: Iterable[JobRun]) -> list[JobRun]:
    return [
        run._replace(
            start_time=run.start_time.astimezone().replace(tzinfo=None),
            end_time=run.end_time and run.end_time.astimezone().replace(tzinfo=None),
        )
        for run in runs
    ]
