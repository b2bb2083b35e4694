"""The pictures of the README, of a scrapyd that runs: ``python -m docs.screenshots URL``."""

import sys
from pathlib import Path

from tests.helpers.browser import chromium

PAGES = {"coins": "coins", "coin": "coin?id=coin-0000002&days=1", "crawls": "crawls"}
SCHEMES = ("light", "dark")


def main(url: str) -> None:
    with chromium() as browser:
        for name, path in PAGES.items():
            for scheme in SCHEMES:
                page = browser.new_page(
                    color_scheme=scheme, viewport={"width": 1100, "height": 620}
                )
                page.goto(f"{url}/{path}")
                page.screenshot(path=Path(__file__).with_name(f"{name}-{scheme}.png"))


if __name__ == "__main__":
    main(sys.argv[1])
