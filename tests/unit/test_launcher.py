"""What scrapyd's log shows about a job."""

from scrapyd.launcher import log

from coinspider.daemon.launcher import QuietProcess


def test_arguments_are_logged_without_the_passwords_of_feeds(monkeypatch):
    lines = []
    monkeypatch.setattr(log, "info", lambda text, **values: lines.append(text.format(**values)))
    given = ["crawl", "coins", "-s", 'FEEDS={"ftp://me:s3cret@host/x.csv": {}}']
    process = QuietProcess("default", "coins", "job", {}, given)
    process.log("info", "Process started:")
    assert "ftp://host/x.csv" in lines[0]
    assert "s3cret" not in lines[0]
    assert process.args == given
