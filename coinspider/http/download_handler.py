"""Scrapy's own HTTP download handler, without what takes longest in its import."""

import inspect
from types import SimpleNamespace
from typing import Any

from scrapy.utils import deprecate

# For each of three deprecated classes that come with it, Scrapy looks at the source of the whole
# stack to name the class's module: 50 of the 460 ms from the start of a crawl to its first request.
# https://github.com/scrapy/scrapy/blob/2.19.0/scrapy/utils/deprecate.py
_own: Any = deprecate
_own.inspect = SimpleNamespace(
    **vars(inspect) | {"stack": lambda: (None, (None,)), "getmodule": lambda _: None}
)
try:
    from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
finally:
    _own.inspect = inspect

__all__ = ["HTTP11DownloadHandler"]
