"""Scrapy settings of coinspider: what differs from Scrapy's defaults, and why.

The environment, and a ``.env`` file beside ``scrapy.cfg``, are read here and nowhere else.
"""

import os
from pathlib import Path

from dotenv import load_dotenv
from scrapy.settings import default_settings
from scrapy.utils.conf import closest_scrapy_cfg

from coinspider.secret_files import secret, warn_of_open_file

# From an egg, in scrapyd, there is neither file.
if _scrapy_cfg := closest_scrapy_cfg():
    _dotenv = Path(_scrapy_cfg).with_name(".env")
    warn_of_open_file(_dotenv)
    load_dotenv(_dotenv)

BOT_NAME = "coinspider"
SPIDER_MODULES = ["coinspider.spiders"]
NEWSPIDER_MODULE = "coinspider.spiders"
COMMANDS_MODULE = "coinspider.commands"

# CoinGecko (used by CoinsSpider)
COINGECKO_BASE_URL = os.environ.get("COINGECKO_BASE_URL")
COINGECKO_API_KEY = secret("COINGECKO_API_KEY")
COINGECKO_PLAN = os.environ.get("COINGECKO_PLAN")
# calls per minute, 0 for no limit; auto, the default, begins with the plan's and learns
COINGECKO_RATE_LIMIT = os.environ.get("COINGECKO_RATE_LIMIT")
# calls that a month has, 0 for any number; the default is the plan's, or what the API's /key tells
COINGECKO_MONTHLY_CREDITS = os.environ.get("COINGECKO_MONTHLY_CREDITS")

# Other APIs (used by PaginatedSpider; see credentials.py): a token in a header or in the query, or
# a user's name and password
API_TOKEN = secret("API_TOKEN")
API_TOKEN_SCHEME = os.environ.get("API_TOKEN_SCHEME")  # Token, but none with API_TOKEN_HEADER
API_TOKEN_HEADER = os.environ.get("API_TOKEN_HEADER")
API_TOKEN_PARAMETER = os.environ.get("API_TOKEN_PARAMETER")
API_USERNAME = os.environ.get("API_USERNAME")
API_PASSWORD = secret("API_PASSWORD")
# calls per RATELIMIT_PERIOD, 0 for no limit, auto to learn it
RATELIMIT_CALLS = os.environ.get("API_RATE_LIMIT") or "auto"
# calls that a month has, for none to be made beyond them; nothing for any number
RATELIMIT_MONTHLY_CREDITS = os.environ.get("API_MONTHLY_CREDITS")
DOWNLOAD_HANDLERS = dict.fromkeys(
    ("http", "https"),
    "coinspider.http.token_parameter.TokenParameterDownloadHandler"
    if API_TOKEN_PARAMETER
    else "coinspider.http.download_handler.HTTP11DownloadHandler",
)
# Whose certificates are trusted: those of the system's authorities, and of a file in PEM form
DOWNLOAD_VERIFY_CERTIFICATES = True
DOWNLOAD_CA_FILE = os.environ.get("DOWNLOAD_CA_FILE")

# Links that an API sends lead to its own host, or to these, without credentials.
PAGINATION_HOSTS_ALLOWED: list[str] = []
# Where they name another host, such as the one behind a proxy, ask the API's own host instead.
PAGINATION_REWRITE_ENABLED = os.environ.get("PAGINATION_REWRITE_ENABLED", "0")
PAGINATION_PAGES_MAX = 100_000  # a list that does not end fails the crawl

# PostgreSQL (used by PostgresPipeline)
POSTGRES_ENABLED = os.environ.get("POSTGRES_ENABLED", "1")
DATABASE_URL = secret("DATABASE_URL")
POSTGRES_BATCH_SIZE = 500  # rows
POSTGRES_CONNECT_TIMEOUT = 10  # seconds
POSTGRES_SCHEMA = os.environ.get("POSTGRES_SCHEMA")  # where the tables are, if not in search_path
POSTGRES_STATEMENT_TIMEOUT = 60  # seconds
POSTGRES_LOCK_TIMEOUT = 10  # seconds that a statement waits for what another session holds
POSTGRES_RECONNECT_TIMEOUT = 60  # seconds without the database before the crawl fails
# A crawl without a sign of life for this many seconds is taken for dead; another may take over.
POSTGRES_LEASE_TIMEOUT = 25
CRAWL_LOG_INTERVAL = 5  # seconds
# Set by scrapyd for a run of a schedule: the node it belongs to, and the schedule's period. Where
# another node has crawled the same within most of it, the run does not begin.
SCHEDULE_NODE = None
SCHEDULE_PERIOD = 0  # seconds
# How many rejected records are kept per crawl; the share of all records above which it fails
REJECTED_RECORD_MAX = 1000
REJECTED_SHARE_MAX = 0.1
# A field that does not fit its column costs its record only that column, or with 1 the record.
COERCION_STRICT_ENABLED = False
# Where more of the known coins are missing from a crawl, it is taken for a fault of the API.
DELISTED_SHARE_MAX = 0.1
# Known coins that a whole crawl did not see are asked for by their ids before they are marked.
DELISTING_CHECK_CALLS_MAX = 10  # calls, of some 250 coins each; 0 to look for none and mark none

# The history of a coin's prices: each change for at least this many days, then candles of an hour
# for this many days, and candles of a day for ever (0 is for ever, too)
HISTORY_ENABLED = os.environ.get("HISTORY_ENABLED", "1")
HISTORY_RETENTION_DAYS = os.environ.get("HISTORY_RETENTION_DAYS", "2")
HISTORY_HOURLY_RETENTION_DAYS = os.environ.get("HISTORY_HOURLY_RETENTION_DAYS", "365")

# A number of more digits, or of more places, is a record's fault: wherever it is shown it costs.
AMOUNT_DIGITS_MAX = 1000

# The views in the browser: the hosts of which they show a coin's logo, as
# coin-images.coingecko.com. Whoever looks at a view then asks them for it; with none, nobody does.
VIEW_LOGO_HOSTS = os.environ.get("VIEW_LOGO_HOSTS", "")

# This share of the month's credits is kept from schedules with a budget, for crawls by hand.
BUDGET_RESERVE_SHARE = 0.02

# From page to row
ITEM_PIPELINES = {
    "coinspider.pipelines.CoercePipeline": 100,
    "coinspider.pipelines.SincePipeline": 500,
    "coinspider.pipelines.PostgresPipeline": 900,
}
# Nearest to the spider, so that the others see requests only.
SPIDER_MIDDLEWARES = {
    "coinspider.crawl.item_dispatch.PageMiddleware": 2000,
    "coinspider.store.credits.CreditsMiddleware": 1900,
}
# Scrapy starts this many tasks a page for what else a spider yields: here requests only.
CONCURRENT_ITEMS = 2

# Feeds: Scrapy's own exporters write a Decimal as a string, or round it.
FEED_EXPORTERS = {
    "json": "coinspider.export.feeds.ExactJsonItemExporter",
    "jsonlines": "coinspider.export.feeds.ExactJsonLinesItemExporter",
    "jsonl": "coinspider.export.feeds.ExactJsonLinesItemExporter",
    "jl": "coinspider.export.feeds.ExactJsonLinesItemExporter",
    "csv": "coinspider.export.feeds.ExactCsvItemExporter",
    # Each on a package that is not in requirements.txt
    "xlsx": "coinspider.export.xlsx.XlsxItemExporter",
    "parquet": "coinspider.export.parquet.ParquetItemExporter",
    "gsheets": "coinspider.export.google_sheets.GoogleSheetsItemExporter",
}
FEED_STORAGES = {"gsheets": "coinspider.export.google_sheets.GoogleSheetsFeedStorage"}
# The path of a service account's key, in JSON, and another address than Google's
GOOGLE_SHEETS_CREDENTIALS = os.environ.get("GOOGLE_SHEETS_CREDENTIALS")
GOOGLE_SHEETS_URL = os.environ.get("GOOGLE_SHEETS_URL")
# A text that a spreadsheet would take for a formula, as =1+1, gets an apostrophe before it in CSV.
CSV_FORMULAS_ESCAPED = os.environ.get("CSV_FORMULAS_ESCAPED", "1")
# Amounts in Parquet: auto (decimals of 38 digits where all of a column's values fit, else doubles,
# with the text of each in a column beside), double (the same without decimals), or text
PARQUET_AMOUNTS = os.environ.get("PARQUET_AMOUNTS", "auto")

# The API's limit (see ratelimit.py; CoinsSpider takes its own from COINGECKO_RATE_LIMIT)
RATELIMIT_ENABLED = True
RATELIMIT_PERIOD = 60  # seconds
RATELIMIT_FIRM = True  # False: RATELIMIT_CALLS is where learning begins, and may be exceeded
RATELIMIT_PAGE_TIMEOUT = 900  # seconds without a page before the crawl fails
RATELIMIT_RETRY_AFTER_MAX = 600  # seconds
RATELIMIT_BACKOFF_MAX = 600  # seconds
RATELIMIT_RETRY_TIMES = 100
# The functions that tell from a response whether it is a refusal, and one until the month ends;
# CoinsSpider has its own
RATELIMIT_REFUSAL = "coinspider.http.refusal.is_refusal"
RATELIMIT_EXHAUSTED = "coinspider.http.refusal.is_exhausted"
USER_AGENT = "coinspider"
# AutoThrottle looks after the server where latency grows. It starts with no delay, because the
# limit says how fast one may be; jitter would only hide a crawler, which this one need not.
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_START_DELAY = 0.0
AUTOTHROTTLE_TARGET_CONCURRENCY = 8.0
DOWNLOAD_DELAY_JITTER = 0
# How many pages PaginatedSpider may ask for at once, where a page takes at least this long
LOOKAHEAD_PAGES = 8
LOOKAHEAD_LATENCY = 0.02  # seconds
CONCURRENT_REQUESTS = LOOKAHEAD_PAGES
# While this many bytes of pages wait for the database, no more are asked for. A look-ahead fits in.
SCRAPER_SLOT_MAX_ACTIVE_SIZE = 2_000_000

DOWNLOADER_MIDDLEWARES = {
    "coinspider.http.ratelimit.RateLimitMiddleware": 560,
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    "coinspider.http.retry.BackoffRetryMiddleware": 550,
    "coinspider.http.links.PrivateAddressMiddleware": 50,
    # After DefaultHeadersMiddleware
    "coinspider.http.credentials.OwnHostMiddleware": 410,
}
# Other failures: 1, 2, 4, ... seconds apart, about a minute in all
RETRY_TIMES = 6
RETRY_BACKOFF = 1.0  # seconds
RETRY_BACKOFF_MAX = 60.0  # seconds
RETRY_HTTP_CODES = [408, 500, 502, 503, 504, *range(520, 528)]
DOWNLOAD_TIMEOUT = 60  # seconds
# A page of 250 coins is 250 kB.
DOWNLOAD_MAXSIZE = 64 * 1024 * 1024  # bytes
DOWNLOAD_WARNSIZE = 16 * 1024 * 1024  # bytes

# Credentials stay with the host they are for: Scrapy would carry a key in a header along to another
# one. PageFailures follows redirects as it does links.
REDIRECT_ENABLED = False
METAREFRESH_ENABLED = False
REFERER_ENABLED = False

# A live line on a terminal, and only there (auto); 1 or 0 for always or never
PROGRESS_ENABLED = os.environ.get("PROGRESS_ENABLED", "auto")
EXTENSIONS = {
    "coinspider.crawl.progress_bar.Progress": 500,
    "coinspider.crawl.log_lines.StatsLog": 500,
}

# Alerts by scrapyd: the address of a webhook, a token for the header "Authorization: Bearer", and
# the JSON to send, with placeholders such as {message}; all fields without it
ALERT_URL = secret("ALERT_URL")
ALERT_TOKEN = secret("ALERT_TOKEN")
ALERT_BODY = os.environ.get("ALERT_BODY")
ALERT_FAILURES = os.environ.get("ALERT_FAILURES", "1")  # runs in a row, 0 for never
ALERT_PERIODS = os.environ.get("ALERT_PERIODS", "3")  # due times without new data, 0 for never
ALERT_INTERVAL = os.environ.get("ALERT_INTERVAL", "15")  # seconds between two looks

# Logging: one line per page at DEBUG; a line per coin would cost more than the coin.
LOG_LEVEL = "INFO"
LOG_FORMATTER = "coinspider.crawl.log_lines.PageLogFormatter"
# Scrapy's thirty lines of stats before the last line; with LOG_LEVEL DEBUG they come all the same.
STATS_DUMP = os.environ.get("STATS_DUMP", "0")

# What a short crawl's start would take longest for, by its imports alone; None in EXTENSIONS or
# DOWNLOADER_MIDDLEWARES imports a component all the same. The first two run code that comes in on a
# port of this machine, the third keeps sessions, which APIs don't have.
EXTENSIONS_BASE = dict(default_settings.EXTENSIONS_BASE)
del EXTENSIONS_BASE["scrapy.extensions.remote_control.RemoteControl"]
del EXTENSIONS_BASE["scrapy.extensions.telnet.TelnetConsole"]
# Ours says when a feed is not whole.
del EXTENSIONS_BASE["scrapy.extensions.feedexport.FeedExporter"]
EXTENSIONS_BASE["coinspider.export.feed_exporter.FeedExporter"] = 0
DOWNLOADER_MIDDLEWARES_BASE = dict(default_settings.DOWNLOADER_MIDDLEWARES_BASE)
del DOWNLOADER_MIDDLEWARES_BASE["scrapy.downloadermiddlewares.cookies.CookiesMiddleware"]
