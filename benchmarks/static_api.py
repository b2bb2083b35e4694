"""An API that costs next to nothing: it sends files as pages, and ``[]`` past the last one.

Like CoinGecko, it says in the header ``total`` how many coins there are. Without that, coinspider
asks for the empty page once more, a second later.

    python -m benchmarks.static_api FOLDER

prints its base URL and, in seconds of the monotonic clock, when the first request came; it serves
until it is killed.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from benchmarks.pages import PER_PAGE

reactor: Any = _reactor


class Pages(Resource):
    isLeaf = True

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        last = max(int(page.name) for page in folder.iterdir())
        self.total = (last - 1) * PER_PAGE + len(json.loads((folder / str(last)).read_bytes()))
        self.asked = False

    def render_GET(self, request: Request) -> bytes:
        if not self.asked:
            self.asked = True
            print(time.monotonic(), flush=True)
        page = self.folder / request.args[b"page"][0].decode()
        request.setHeader("Content-Type", "application/json; charset=utf-8")
        request.setHeader("total", str(self.total))
        return page.read_bytes() if page.exists() else b"[]"


if __name__ == "__main__":
    address = reactor.listenTCP(0, Site(Pages(Path(sys.argv[1]))), interface="127.0.0.1").getHost()
    print(f"http://127.0.0.1:{address.port}/api/v3", flush=True)
    reactor.run()
