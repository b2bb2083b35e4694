"""Scrapy's own handler, imported without the search through the stack."""

import subprocess
import sys

IMPORT = """
import inspect
from coinspider.http.download_handler import HTTP11DownloadHandler
from scrapy.core.downloader.handlers import http11
from scrapy.utils import deprecate

assert HTTP11DownloadHandler.__base__ is http11.HTTP11DownloadHandler
assert deprecate.inspect is inspect
assert not inspect.modulesbyfile
"""


def test_import_looks_at_no_source_and_leaves_all_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
