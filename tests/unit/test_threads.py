"""What several requests need at once is computed once."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet import task
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from coinspider.daemon import database, nodes
from coinspider.errors import ViewError


@pytest.fixture
def workers(monkeypatch):
    """Workers whose work the test ends, by key."""
    started = []

    def start(*_):
        started.append(Deferred())
        return started[-1]

    monkeypatch.setattr(database, "deferToThreadPool", start)
    monkeypatch.setattr(database, "reactor", SimpleNamespace(addSystemEventTrigger=lambda *_: None))
    pool = SimpleNamespace(start=lambda: None, stop=lambda: None)
    monkeypatch.setattr(database, "ThreadPool", lambda *_: pool)
    made = database.Workers("test", 1)
    made.started = started
    return made


def test_same_question_is_computed_once_at_a_time(workers):
    answers = []
    for key in ("a", "a", "b", "a"):
        workers.run(key, int).addCallback(answers.append)
    assert len(workers.started) == 2
    workers.started[0].callback("page a")
    assert answers == ["page a"] * 3
    workers.run("a", int)
    assert len(workers.started) == 3


def test_failure_reaches_all_who_asked(workers):
    failures = []
    for _ in range(2):
        workers.run("a", int).addErrback(failures.append)
    workers.started[0].errback(Failure(ValueError("no")))
    assert len(failures) == 2


def test_too_many_questions_are_refused(workers):
    for key in range(database.WAITING_MAX):
        workers.run(key, int)
    with pytest.raises(ViewError, match="try again"):
        workers.run("one more", int)
    workers.run(0, int)


def test_clients_that_do_not_read_let_no_more_answers_be_made(monkeypatch):
    body = b"x" * 100
    monkeypatch.setattr(database, "unread", [body, body])  # of two clients who share it
    assert database.unread_size() == 100
    monkeypatch.setattr(database, "UNREAD_MAX", 99)
    with pytest.raises(ViewError, match="try again"):
        database.page_workers()


def test_loop_goes_on_and_logs_whatever_its_function_raises():
    clock, calls, lines = task.Clock(), [], []
    endings = [lambda: 1 / 0, lambda: fail(KeyError("egg")), lambda: succeed(None), lambda: None]

    def work():
        calls.append(clock.seconds())
        return endings[len(calls) % len(endings)]()

    def observe(event):
        if "log_failure" in event:
            lines.append((formatEvent(event), event["log_failure"].type))

    loop = nodes.repeating("heartbeat", work)
    loop.clock = clock
    globalLogPublisher.addObserver(observe)
    try:
        loop.start(1)
        for _ in range(6):
            clock.advance(1)
    finally:
        globalLogPublisher.removeObserver(observe)
        loop.stop()
    assert calls == [0, 1, 2, 3, 4, 5, 6]
    failed = "A heartbeat failed"
    assert lines == [(failed, KeyError), (failed, ZeroDivisionError), (failed, KeyError)]


def test_no_page_waits_in_the_threads_of_the_heartbeat():
    pages = Path(nodes.__file__).parent / "views"
    assert not [path for path in pages.rglob("*.py") if "deferToThread" in path.read_text()]


def test_no_loop_of_the_daemon_can_end_by_an_exception():
    users = [path.name for path in Path(nodes.__file__).parent.rglob("*.py")
             if "LoopingCall(" in path.read_text()]  # fmt: skip
    assert users == ["nodes.py"]
