"""What scrapyd's jobs are started with."""

import os

import pytest

from coinspider.daemon import runner


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")], ids=["", "turned off"])
def test_log_of_a_job_has_the_stats_that_tools_for_scrapyd_read(monkeypatch, given, expected):
    monkeypatch.setattr(runner, "is_egg", lambda _: False)
    monkeypatch.setattr(runner, "main", lambda: None)
    monkeypatch.setenv("SCRAPY_PROJECT", "coinspider")
    monkeypatch.setenv("STATS_DUMP", given or "")
    if given is None:
        monkeypatch.delenv("STATS_DUMP")
    runner.run()
    assert os.environ["STATS_DUMP"] == expected
