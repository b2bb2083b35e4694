"""Writes the address of the pages as the last line when scrapyd starts."""

import os
from typing import Any

from scrapyd import Config
from twisted.application.service import Service
from twisted.internet import reactor
from twisted.logger import Logger

log = Logger()
# After the first scheduled runs have begun, which log lines of their own.
_DELAY = 1.0  # seconds
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, not bound to)


class Announcement(Service):
    """Writes the address once."""

    def __init__(self, config: Config):
        self.address = address(config)

    def startService(self) -> None:
        super().startService()
        clock: Any = reactor
        clock.callWhenRunning(clock.callLater, _DELAY, self._announce)

    def _announce(self) -> None:
        log.info("The pages are at {address}", address=self.address)


def address(config: Config) -> str:
    """This machine's address, if scrapyd listens on all of them."""
    host = os.getenv("SCRAPYD_BIND_ADDRESS") or config.get("bind_address", "127.0.0.1")
    port = os.getenv("SCRAPYD_HTTP_PORT") or config.get("http_port", "6800")
    shown = "127.0.0.1" if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"
