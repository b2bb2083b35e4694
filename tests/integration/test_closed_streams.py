"""Status and row agree whatever becomes of the output."""

import os
import subprocess

import pytest

from tests.helpers.processes import CLEAN, PROJECT, SCRAPY

# As for users: where nothing is buffered, nothing is left to be written when Python exits.
BUFFERED = {"PYTHONUNBUFFERED": ""}
STREAMS = ["2>/dev/full", "2>&-", ">&-", ">/dev/full 2>&1", "<&-"]


def shell(command: str, streams: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {streams}', "sh", *SCRAPY, *command.split()],
        cwd=PROJECT,
        env=os.environ | CLEAN | BUFFERED | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.needs("/dev/full")
@pytest.mark.parametrize("streams", STREAMS)
def test_crawl_ends_as_its_row_says(scrapy, sandbox, query, streams):
    api = sandbox("--coins", 10)
    done = shell("crawl coins", streams, **scrapy.environment, COINGECKO_BASE_URL=api.url)
    assert (done.returncode, query("SELECT outcome FROM crawl")) == (0, [("complete",)])
    assert "Traceback" not in done.stderr
    if "2>" not in streams:
        assert done.stderr.splitlines()[-1].startswith("coinspider: the crawl is complete: ")
    done = shell("crawl coins -a pages=x", streams, **scrapy.environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    shown = shell("coins", streams, **scrapy.environment)
    assert shown.returncode == (1 if streams.startswith(">") else 0)
    assert "Traceback" not in shown.stderr
