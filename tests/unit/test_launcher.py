"""What scrapyd's log shows about a job."""

from configparser import ConfigParser

import pytest
from scrapyd.launcher import log

from coinspider._compat import wait_by_monotonic_time
from coinspider.daemon.jobs import JobRules
from coinspider.daemon.launcher import QuietProcess
from coinspider.errors import ConfigurationError


def test_arguments_are_logged_without_the_passwords_of_feeds(monkeypatch):
    lines = []
    monkeypatch.setattr(log, "info", lambda text, **values: lines.append(text.format(**values)))
    given = ["crawl", "coins", "-s", 'FEEDS={"ftp://me:s3cret@host/x.csv": {}}']
    process = QuietProcess("default", "coins", "job", {}, given)
    process.log("info", "Process started:")
    assert "ftp://***@host/x.csv" in lines[0]
    assert "s3cret" not in lines[0]
    assert process.args == given


class Config:
    cp = ConfigParser()

    def get(self, option, default):
        return {"settings_allowed": "LOG_LEVEL"}.get(option, default)

    getboolean = get


Config.cp.read_string("[schedule:x]\nsetting.feeds = mine\nargument.url = http://mine\n")
JOB = {"_job": "a.1", "_project": "coinspider", "_spider": "coins"}


@pytest.mark.parametrize(
    ("message", "arguments", "reason"),
    [
        ({"settings": {"FEEDS": "theirs"}}, {}, "its setting FEEDS is neither allowed"),
        ({"_spider": "next"}, {"url": "http://evil"}, "its argument url is neither allowed"),
        ({"_version": "1"}, {}, "it runs an egg"),
        ({"_job": "../../x"}, {}, "its id, its spider"),
        ({}, {"vs_currency": "usd\0"}, "its id, its spider or an argument"),
        ({}, {"pges": "2"}, "unknown argument pges"),
    ],
)
def test_row_of_the_queue_may_not_what_a_request_may_not(message, arguments, reason):
    with pytest.raises(ConfigurationError, match=reason):
        JobRules(Config()).check(JOB | message, arguments)


def test_row_may_what_is_allowed_and_what_a_schedule_says():
    rules = JobRules(Config())
    rules.check(JOB | {"settings": {"LOG_LEVEL": "DEBUG", "FEEDS": "mine"}}, {"pages": "2"})
    rules.check(JOB | {"_spider": "next"}, {"url": "http://mine"})


def test_waits_are_measured_by_a_clock_that_nobody_sets(monkeypatch):
    from twisted.internet.epollreactor import EPollReactor  # its import installs nothing

    reactor = EPollReactor()
    wait_by_monotonic_time(reactor)
    before, called = reactor.seconds(), []
    monkeypatch.setattr("time.time", lambda: 0.0)
    reactor.callLater(0, called.append, 1)
    reactor.runUntilCurrent()
    assert called == [1]
    assert 0 <= reactor.seconds() - before < 60
