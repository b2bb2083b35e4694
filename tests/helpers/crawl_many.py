"""Runs many crawls, one after the other in one process: jobs come in, outcomes go out.

A job is a JSON object with ``arguments``, ``settings`` and, unless it is ``next``, the ``spider``.
Each input line is a list of jobs, and gives one output line per job.
"""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

from scrapy.utils.project import get_project_settings
from scrapy.utils.reactor import install_reactor

install_reactor("twisted.internet.asyncioreactor.AsyncioSelectorReactor")

from scrapy.crawler import CrawlerRunner  # noqa: E402
from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import react  # noqa: E402

from coinspider.crawl.outcome import outcome_of  # noqa: E402


async def crawl_all(jobs: Iterator[dict[str, Any]]) -> None:
    for job in jobs:
        settings = get_project_settings()
        settings.setdict({"RETRY_BACKOFF": 0.01, "LOG_ENABLED": False, **job["settings"]})
        runner = CrawlerRunner(settings)
        crawler = runner.create_crawler(job.get("spider", "next"))
        await runner.crawl(crawler, **job["arguments"])
        sys.stdout.write(json.dumps(outcome_of(crawler)[:2]) + "\n")
        sys.stdout.flush()


logging.basicConfig(level=logging.WARNING)
jobs = (job for line in iter(sys.stdin.readline, "") for job in json.loads(line))
react(lambda _: Deferred.fromCoroutine(crawl_all(jobs)), [])
