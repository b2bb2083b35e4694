"""Headless Chromium, if there is one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.needs import program

# As root it has no sandbox; and it is not to look for anything outside.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # milliseconds, for a machine that is busy with other tests
LAYOUT = Path(__file__).with_name("layout.js").read_text()
WIDTHS = (375, 768, 1280, 1920)
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{0}</dir><cachedir>{0}/cache</cachedir></fontconfig>
"""


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def launch(chromium: Any, **environment: str) -> Any:
    return chromium.launch(
        executable_path=program("chromium"),
        args=OPTIONS,
        timeout=PATIENCE,
        env=os.environ | environment,
    )


def click(place: Any) -> None:
    """Click, and wait for all of the page that this leads to: its beginning is shown earlier."""
    place.click()
    place.page.wait_for_load_state()


def bare_machine(directory: Path) -> dict[str, str]:
    """The environment of a machine with one font, if possible a wide one.

    Without any Chromium crashes.
    """
    fonts = sorted(Path("/usr/share/fonts").rglob("*.[ot]tf"), key=lambda one: one.name)
    shutil.copy(next((one for one in fonts if "Mono" in one.name), fonts[0]), directory)
    file = directory / "fonts.conf"
    file.write_text(_FONTS.format(directory))
    return {"FONTCONFIG_FILE": str(file)}


def layout_problems(page: Any, described: str = "") -> list[str]:
    """What a person would see wrong at each of the widths."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{width} {described}: {problem}" for problem in page.evaluate(LAYOUT)]
    return found
