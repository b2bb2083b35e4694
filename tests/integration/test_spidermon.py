"""spidermon's monitors on a crawl."""

import json

EXTENSIONS = json.dumps({"spidermon.contrib.scrapy.extensions.Spidermon": 500})
MONITORS = "tests.spiders.monitors.CloseSuite"


def test_monitors_read_the_stats_of_a_crawl(scrapy, sandbox):
    api = sandbox("--coins", 300)
    for least, failed in ((300, False), (301, True)):
        done = scrapy(
            "crawl", "coins", "-s", "SPIDERMON_ENABLED=1", "-s", f"EXTENSIONS={EXTENSIONS}",
            "-s", f"SPIDERMON_SPIDER_CLOSE_MONITORS={MONITORS}",
            "-s", f"SPIDERMON_MIN_ITEMS={least}", COINGECKO_BASE_URL=api.url,
        )  # fmt: skip
        assert (
            "Extracted Items Monitor/test_stat_monitor... " + ("FAIL" if failed else "OK")
            in done.stderr
        )
        assert done.returncode == 0, done.stderr
