"""Scrapy settings of coinspider: what differs from Scrapy's defaults, and why.

The environment, and the file ``.env`` (see ``installation.py``), are read here and nowhere else.
"""

from dotenv import load_dotenv
from scrapy.settings import default_settings

from coinspider.installation import data_folder, own_file, project_folder
from coinspider.secrets import secret, warn_of_open_file
from coinspider.setting_kinds import from_environment
from coinspider.text import hold_streams

hold_streams()

_dotenv = own_file(".env")
warn_of_open_file(_dotenv)
load_dotenv(_dotenv)

BOT_NAME = "coinspider"
SPIDER_MODULES = ["coinspider.spiders"]
NEWSPIDER_MODULE = "coinspider.spiders"
COMMANDS_MODULE = "coinspider.commands"

# CoinGecko (used by CoinsSpider)
COINGECKO_BASE_URL = from_environment("COINGECKO_BASE_URL")
COINGECKO_API_KEY = secret("COINGECKO_API_KEY")
COINGECKO_PLAN = from_environment("COINGECKO_PLAN")
# calls per minute, 0 for no limit; auto, the default, begins with the plan's limit and learns
COINGECKO_RATE_LIMIT = from_environment("COINGECKO_RATE_LIMIT")
# calls per month, 0 for no limit; the default is the plan's, or what the API's /key says
COINGECKO_MONTHLY_CREDITS = from_environment("COINGECKO_MONTHLY_CREDITS")
# So many of the largest coins come first, with the prices of seven days, where there is no history.
COINGECKO_FIRST_COINS = from_environment("COINGECKO_FIRST_COINS", 250)

# Other APIs (used by PaginatedSpider; see credentials.py): a token in a header or in the query, or
# a user's name and password
API_TOKEN = secret("API_TOKEN")
API_TOKEN_SCHEME = from_environment("API_TOKEN_SCHEME")  # Token, or none with API_TOKEN_HEADER
API_TOKEN_HEADER = from_environment("API_TOKEN_HEADER")
API_TOKEN_PARAMETER = from_environment("API_TOKEN_PARAMETER")
API_USERNAME = from_environment("API_USERNAME")
API_PASSWORD = secret("API_PASSWORD")
# calls per RATELIMIT_PERIOD, 0 for no limit, auto to learn it
RATELIMIT_CALLS = from_environment("API_RATE_LIMIT", "auto")
# calls per month, which are never exceeded; 0 or empty for no limit
RATELIMIT_MONTHLY_CREDITS = from_environment("API_MONTHLY_CREDITS")
DOWNLOAD_HANDLERS = dict.fromkeys(
    ("http", "https"),
    "coinspider.http.handler.TokenParameterDownloadHandler"
    if API_TOKEN_PARAMETER
    else "coinspider.http.handler.HTTP11DownloadHandler",
)
# Certificate authorities that are trusted beside the system's, in a PEM file
DOWNLOAD_VERIFY_CERTIFICATES = True
DOWNLOAD_CA_FILE = from_environment("DOWNLOAD_CA_FILE")

# Links in responses may lead only to the API's own host or, without credentials, to these.
PAGINATION_HOSTS_ALLOWED: list[str] = []
# If links name another host, such as one behind a proxy, request the same path on the API's own
# host.
PAGINATION_REWRITE_ENABLED = from_environment("PAGINATION_REWRITE_ENABLED", False)
PAGINATION_PAGES_MAX = 100_000  # a list that does not end fails the crawl
PAGINATION_MISSING_MAX = 0  # pages that can't be had, and yet the crawl is complete
PAGINATION_READINGS_MAX = 3  # how often a list is read that changes meanwhile; 1 accepts that

# PostgreSQL (used by PostgresPipeline)
POSTGRES_ENABLED = from_environment("POSTGRES_ENABLED", True)
DATABASE_URL = secret("DATABASE_URL")
POSTGRES_BATCH_SIZE = 500  # rows
POSTGRES_CONNECT_TIMEOUT = 10  # seconds
POSTGRES_SCHEMA = from_environment("POSTGRES_SCHEMA")  # of the tables, if not by search_path
POSTGRES_ROLE_PASSWORD = secret("POSTGRES_ROLE_PASSWORD")  # for scrapy database role
POSTGRES_STATEMENT_TIMEOUT = 60  # seconds
POSTGRES_LOCK_TIMEOUT = 10  # seconds that a statement waits for another session's lock
POSTGRES_RECONNECT_TIMEOUT = 60  # seconds without the database before the crawl fails
# A crawl without a heartbeat for this many seconds counts as dead; another may take over.
POSTGRES_LEASE_TIMEOUT = 25
CRAWL_LOG_INTERVAL = 5  # seconds
# How many rejected records are kept per crawl; the share of all records above which it fails
REJECTED_RECORD_MAX = 1000
REJECTED_SHARE_MAX = 0.1
# For how many days after they were last met rejected records are kept, and for how many the rows
# of crawls (0 means for ever)
REJECTED_RETENTION_DAYS = from_environment("REJECTED_RETENTION_DAYS", 90)
CRAWL_RETENTION_DAYS = from_environment("CRAWL_RETENTION_DAYS", 400)
# A value that does not fit its column is stored as null; with 1 the whole record is rejected.
COERCION_STRICT_ENABLED = False
# If more than this share of the known coins is missing, the API is assumed to be at fault.
DELISTED_SHARE_MAX = 0.1
# Known coins that a whole crawl did not see are requested by id before they are marked.
DELISTING_CHECK_CALLS_MAX = 10  # calls of about 250 coins each; 0 to look for none and mark none

# The history of prices: changes for at least this many days, hourly and daily candles for this many
# (0 means for ever)
HISTORY_ENABLED = from_environment("HISTORY_ENABLED", True)
HISTORY_RETENTION_DAYS = from_environment("HISTORY_RETENTION_DAYS", 2)
HISTORY_HOURLY_RETENTION_DAYS = from_environment("HISTORY_HOURLY_RETENTION_DAYS", 365)
HISTORY_DAILY_RETENTION_DAYS = from_environment("HISTORY_DAILY_RETENTION_DAYS", 0)

# A number with more digits or decimals is rejected, because showing it would be expensive.
AMOUNT_DIGITS_MAX = 1000

# The hosts from which a browser may load coins' logos, once a person has switched them on.
VIEW_LOGO_HOSTS = from_environment("VIEW_LOGO_HOSTS", "coin-images.coingecko.com")

# The share of the month's credits that schedules with a budget leave for crawls by hand
BUDGET_RESERVE_SHARE = 0.02

# From page to row
ITEM_PIPELINES = {
    "coinspider.pipelines.CoercePipeline": 100,
    "coinspider.pipelines.SincePipeline": 500,
    "coinspider.pipelines.PostgresPipeline": 900,
}
# Nearest to the spider, so that the others see only requests.
SPIDER_MIDDLEWARES = {
    "coinspider.crawl.dispatch.PageMiddleware": 2000,
    "coinspider.middlewares.CreditsMiddleware": 1900,
}
# Scrapy starts this many tasks per page for a spider's other output, here only requests.
CONCURRENT_ITEMS = 2

# Feeds: Scrapy's own exporters write a Decimal as a string, or round it.
FEED_EXPORTERS = {
    "json": "coinspider.export.feeds.ExactJsonItemExporter",
    "jsonlines": "coinspider.export.feeds.ExactJsonLinesItemExporter",
    "jsonl": "coinspider.export.feeds.ExactJsonLinesItemExporter",
    "jl": "coinspider.export.feeds.ExactJsonLinesItemExporter",
    "csv": "coinspider.export.feeds.ExactCsvItemExporter",
    # Each needs a package that is not in requirements.txt
    "xlsx": "coinspider.export.xlsx.XlsxItemExporter",
    "parquet": "coinspider.export.parquet.ParquetItemExporter",
    "gsheets": "coinspider.export.google_sheets.GoogleSheetsItemExporter",
}
FEED_STORAGES = {
    "": "coinspider.export.feeds.FileFeedStorage",
    "file": "coinspider.export.feeds.FileFeedStorage",
    "gsheets": "coinspider.export.google_sheets.GoogleSheetsFeedStorage",
}
# The path of a service account's JSON key, and an address other than Google's
GOOGLE_SHEETS_CREDENTIALS = from_environment("GOOGLE_SHEETS_CREDENTIALS")
GOOGLE_SHEETS_URL = from_environment("GOOGLE_SHEETS_URL")
# Whether text that a spreadsheet would take for a formula (=1+1) gets an apostrophe in CSV
CSV_FORMULAS_ESCAPED = from_environment("CSV_FORMULAS_ESCAPED", True)
# Amounts in Parquet: auto (doubles, beside a column with the exact text where a double has other
# digits), double (no such column), or text
PARQUET_AMOUNTS = from_environment("PARQUET_AMOUNTS", "auto")

# The API's limit (see ratelimit.py; CoinsSpider takes its own from COINGECKO_RATE_LIMIT)
RATELIMIT_ENABLED = True
RATELIMIT_PERIOD = 60  # seconds
RATELIMIT_FIRM = True  # False: learning begins with RATELIMIT_CALLS, which may be exceeded
RATELIMIT_PAGE_TIMEOUT = 900  # seconds without a page before the crawl fails
RATELIMIT_RETRY_AFTER_MAX = 600  # seconds
RATELIMIT_BACKOFF_MAX = 600  # seconds
RATELIMIT_RETRY_TIMES = 100
# Functions that decide whether a response is a refusal, and whether it is one until the month ends;
# CoinsSpider has its own
RATELIMIT_REFUSAL = "coinspider.http.api_errors.is_refusal"
RATELIMIT_EXHAUSTED = "coinspider.http.api_errors.is_exhausted"
USER_AGENT = "coinspider"
# AutoThrottle protects the server if latency grows. It starts without a delay, because the limit
# already sets the pace; jitter would only disguise a crawler, which this one need not do.
AUTOTHROTTLE_ENABLED = True
AUTOTHROTTLE_START_DELAY = 0.0
AUTOTHROTTLE_TARGET_CONCURRENCY = 8.0
DOWNLOAD_DELAY_JITTER = 0
# How many pages PaginatedSpider may request at once, if a page takes at least this long
LOOKAHEAD_PAGES = 8
LOOKAHEAD_LATENCY = 0.02  # seconds
CONCURRENT_REQUESTS = LOOKAHEAD_PAGES
# While this many bytes of pages wait for the database, no more are requested; a look-ahead fits.
SCRAPER_SLOT_MAX_ACTIVE_SIZE = 2_000_000

DOWNLOADER_MIDDLEWARES = {
    "coinspider.http.ratelimit.RateLimitMiddleware": 560,
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    "coinspider.http.retry.BackoffRetryMiddleware": 550,
    "coinspider.http.links.PrivateAddressMiddleware": 50,
    # After DefaultHeadersMiddleware
    "coinspider.http.api_key.OwnHostMiddleware": 410,
}
# Other failures: 1, 2, 4, ... seconds apart, about a minute in all
RETRY_TIMES = 6
RETRY_BACKOFF = 1.0  # seconds
RETRY_BACKOFF_MAX = 60.0  # seconds
RETRY_HTTP_CODES = [408, 500, 502, 503, 504, *range(520, 528)]
DOWNLOAD_TIMEOUT = 60  # seconds
# Scrapy's default knows only IPv4.
TWISTED_DNS_RESOLVER = "scrapy.resolver.CachingHostnameResolver"
# Scrapy would drop a longer URL without an error; links, cursors and lists of ids may be as long.
URLLENGTH_LIMIT = 0
# A page of 250 coins is 250 kB.
DOWNLOAD_MAXSIZE = 64 * 1024 * 1024  # bytes
DOWNLOAD_WARNSIZE = 16 * 1024 * 1024  # bytes

# Credentials stay with their host: Scrapy would send a key in a header to another one as well.
# PageFailures follows redirects in the same way as links.
REDIRECT_ENABLED = False
METAREFRESH_ENABLED = False
REFERER_ENABLED = False
HTTPCACHE_STORAGE = "coinspider.http.api_key.CacheStorage"
if not project_folder():
    HTTPCACHE_DIR = str(data_folder("httpcache"))

# A live line of progress: auto (only on a terminal), 1 (always) or 0 (never)
PROGRESS_ENABLED = from_environment("PROGRESS_ENABLED", "auto")
EXTENSIONS = {
    "coinspider.crawl.progress.Progress": 500,
    "coinspider.crawl.log.StatsLog": 500,
}

# Alerts by scrapyd: the address of a webhook, and a token for the header "Authorization: Bearer";
# or one of Apprise, such as slack://... (https://appriseit.com/services/)
ALERT_URL = secret("ALERT_URL")
ALERT_TOKEN = secret("ALERT_TOKEN")
ALERT_FAILURES = from_environment("ALERT_FAILURES", 1)  # runs in a row, 0 for never
ALERT_PERIODS = from_environment("ALERT_PERIODS", 3)  # due times without new data, 0 for never
ALERT_INTERVAL = from_environment("ALERT_INTERVAL", 15)  # seconds between two checks

# Logging: one line per page at DEBUG; a line per coin would cost more than the coin.
LOG_LEVEL = "INFO"
LOG_FORMATTER = "coinspider.crawl.log.PageLogFormatter"
# Whether Scrapy logs thirty lines of stats before the last line; with LOG_LEVEL=DEBUG they are
# always logged
STATS_DUMP = from_environment("STATS_DUMP", False)

# These imports would take most of a short crawl's start; None in EXTENSIONS or
# DOWNLOADER_MIDDLEWARES would not prevent them. The first two run code that arrives on a port of
# this machine; the third keeps sessions, which APIs don't have.
EXTENSIONS_BASE = dict(default_settings.EXTENSIONS_BASE)
del EXTENSIONS_BASE["scrapy.extensions.remote_control.RemoteControl"]
del EXTENSIONS_BASE["scrapy.extensions.telnet.TelnetConsole"]
# Ours reports incomplete feeds.
del EXTENSIONS_BASE["scrapy.extensions.feedexport.FeedExporter"]
EXTENSIONS_BASE["coinspider.export.feeds.FeedExporter"] = 0
DOWNLOADER_MIDDLEWARES_BASE = dict(default_settings.DOWNLOADER_MIDDLEWARES_BASE)
del DOWNLOADER_MIDDLEWARES_BASE["scrapy.downloadermiddlewares.cookies.CookiesMiddleware"]
