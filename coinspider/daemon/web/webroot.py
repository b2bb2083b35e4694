"""scrapyd's own site, with a way from its first page to coinspider's."""

from html import escape
from typing import Any

from scrapyd import Config, website

from coinspider.daemon.fleet.setup import uses_fleet
from coinspider.daemon.web.view import VIEWS


class Webroot(website.Root):
    """Named as ``webroot`` in ``scrapyd.conf``."""

    def __init__(self, config: Config, app: Any):
        super().__init__(config, app)
        self.putChild(b"", Home(self))
        if uses_fleet(config) and self.logs_dir:
            from coinspider.daemon.fleet.logs import FleetLogs

            self.putChild(b"logs", FleetLogs(self.logs_dir, "text/plain"))


class Home(website.Home):
    """scrapyd's first page, whose list begins with coinspider's pages."""

    def render_GET(self, txrequest: Any) -> bytes:
        base = escape(self.get_base_path(txrequest))
        links = "".join(
            f'<li><a href="{base}/{path}">{name}</a></li>\n' for path, name in VIEWS.items()
        )
        page: bytes = super().render_GET(txrequest)
        page = page.replace(b"<ul>", f"<ul>\n{links}".encode(), 1)
        txrequest.setHeader("Content-Length", str(len(page)))
        return page
