"""What scrapyd's jobs start with."""

import os
import subprocess
import sys

import pytest
from twisted.web import error

from coinspider.daemon import runner
from coinspider.daemon.api import endpoints


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")], ids=["", "turned off"])
def test_log_of_a_job_has_the_stats_that_scrapyd_tools_read(monkeypatch, given, expected):
    monkeypatch.setattr(runner, "is_egg", lambda _: False)
    monkeypatch.setattr(runner, "main", lambda: None)
    monkeypatch.setenv("SCRAPY_PROJECT", "coinspider")
    monkeypatch.setenv("STATS_DUMP", given or "")
    if given is None:
        monkeypatch.delenv("STATS_DUMP")
    runner.run()
    assert os.environ["STATS_DUMP"] == expected


def test_spiders_of_an_egg_are_listed_in_one_bare_process(monkeypatch):
    begun = []
    monkeypatch.setattr(runner, "is_egg", lambda _: True)
    monkeypatch.setattr(runner, "main", lambda: begun.append("list"))
    monkeypatch.setattr(sys, "argv", ["runner", "list"])
    monkeypatch.setattr(os, "environ", {"SCRAPY_PROJECT": "spy", "DATABASE_URL": "s3cret"})

    def start_again(_, __, environment):
        assert begun == [], "it starts again for ever"
        begun.append("again")
        os.environ = environment  # noqa: B003
        runner.run()

    monkeypatch.setattr(os, "execve", start_again)
    runner.run()
    assert begun[:2] == ["again", "list"]
    assert "DATABASE_URL" not in os.environ


def test_egg_that_never_lists_its_spiders_is_ended(monkeypatch):
    monkeypatch.setattr(endpoints, "LISTING_TIMEOUT", 0.2)
    process = endpoints.ListingProcess(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with pytest.raises(error.Error, match="spiders were not listed within"):
        process.communicate()
    assert process.returncode == -9
