"""Scrapy settings of coinspider: what differs from Scrapy's defaults, and why.

The environment, and a ``.env`` file beside ``scrapy.cfg``, are read here and nowhere else.
"""

import os
from pathlib import Path

from dotenv import load_dotenv
from scrapy.utils.conf import closest_scrapy_cfg

load_dotenv(Path(closest_scrapy_cfg()).with_name(".env"))

BOT_NAME = "coinspider"
SPIDER_MODULES = ["coinspider.spiders"]
NEWSPIDER_MODULE = "coinspider.spiders"
COMMANDS_MODULE = "coinspider.commands"

# CoinGecko (used by CoinsSpider)
COINGECKO_BASE_URL = os.environ.get("COINGECKO_BASE_URL")
COINGECKO_API_KEY = os.environ.get("COINGECKO_API_KEY")
COINGECKO_PLAN = os.environ.get("COINGECKO_PLAN")

# PostgreSQL (used by PostgresPipeline)
POSTGRES_ENABLED = os.environ.get("POSTGRES_ENABLED", "1")
DATABASE_URL = os.environ.get("DATABASE_URL")
POSTGRES_BATCH_SIZE = 500  # rows
POSTGRES_CONNECT_TIMEOUT = 10  # seconds

# From page to row
ITEM_PIPELINES = {
    "coinspider.pipelines.CoercePipeline": 100,
    "coinspider.pipelines.PostgresPipeline": 900,
}
# Items wait for nothing but a full batch: more tasks than this only cost.
CONCURRENT_ITEMS = 4

# Feeds: Scrapy's own exporters write a Decimal as a string, or round it.
FEED_EXPORTERS = {
    "json": "coinspider.exporters.ExactJsonItemExporter",
    "jsonlines": "coinspider.exporters.ExactJsonLinesItemExporter",
    "jsonl": "coinspider.exporters.ExactJsonLinesItemExporter",
    "jl": "coinspider.exporters.ExactJsonLinesItemExporter",
    "csv": "coinspider.exporters.ExactCsvItemExporter",
}

# Courtesy
USER_AGENT = "coinspider (+https://pypi.org/project/coinspider/)"
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_START_DELAY = 0.0

# Credentials stay with the host they are for: the API redirects nowhere, and Scrapy would carry
# a key header along to another host.
REDIRECT_ENABLED = False

# Logging: one line per page at DEBUG; a line per coin would cost more than the coin.
LOG_LEVEL = "INFO"
LOG_FORMATTER = "coinspider.logformatter.PageLogFormatter"

# Both open a port into the process.
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
