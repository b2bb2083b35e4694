"""Scrapy's own handler, imported without a search through the stack."""

import subprocess
import sys

IMPORT = """
import inspect
from coinspider.http.handler import HTTP11DownloadHandler
from scrapy.core.downloader.handlers import http11
from scrapy.utils import deprecate

assert HTTP11DownloadHandler.__base__ is http11.HTTP11DownloadHandler
assert deprecate.inspect is inspect
assert not inspect.modulesbyfile
"""


def test_import_reads_no_source_and_changes_nothing():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
