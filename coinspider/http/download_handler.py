"""Scrapy's own HTTP download handler, without what takes longest in its import."""

from coinspider._compat import no_stack_search

with no_stack_search():
    from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler

__all__ = ["HTTP11DownloadHandler"]
