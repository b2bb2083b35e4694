"""Takes the screenshots of the docs from the demo's pages.

Run ``scrapy demo --serve``, then ``python -m docs.screenshots http://127.0.0.1:6800``.
"""

import sys
from pathlib import Path

from tests.helpers.browser import chromium

PICTURES = [
    ("coins", "light", "coins"),
    ("coins", "dark", "coins"),
    ("coin", "light", "coin?id=aurel&range=30d"),
    ("candles", "dark", "coin?id=aurel&range=30d&candles=1"),
    ("crawls", "light", "crawls"),
]
SIZE = {"width": 1280, "height": 720}
PHONE = {"width": 375, "height": 700}


def main(url: str) -> None:
    with chromium() as browser:
        for name, scheme, path in PICTURES:
            _take(browser, f"{url}/{path}", f"{name}-{scheme}", scheme, SIZE)
        _take(browser, f"{url}/coins", "coins-phone", "light", PHONE)


def _take(browser, address, name, scheme, size):
    page = browser.new_page(color_scheme=scheme, viewport=size)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=Path(__file__).with_name(f"{name}.png"))
    page.close()


if __name__ == "__main__":
    main(sys.argv[1])
