"""What several requests need at once is computed once."""

from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from coinspider.daemon import database
from coinspider.errors import ViewError


@pytest.fixture
def workers(monkeypatch):
    """Workers whose work the test ends, by key."""
    started = []

    def start(*_):
        started.append(Deferred())
        return started[-1]

    monkeypatch.setattr(database, "deferToThreadPool", start)
    monkeypatch.setattr(database, "_loop", SimpleNamespace(addSystemEventTrigger=lambda *_: None))
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
