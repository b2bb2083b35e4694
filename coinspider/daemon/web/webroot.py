"""scrapyd's own site, with a way from its first page to coinspider's, and tokens in its forms."""

from html import escape
from typing import Any

from scrapyd import Config, website

from coinspider.daemon.fleet.setup import uses_fleet
from coinspider.daemon.gate.sessions import form_token
from coinspider.daemon.web.view import VIEWS, token_field


class Webroot(website.Root):
    """Named as ``webroot`` in ``scrapyd.conf``."""

    def __init__(self, config: Config, app: Any):
        super().__init__(config, app)
        self.putChild(b"", Home(self))
        self.putChild(b"jobs", Jobs(self))
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


class Jobs(website.Jobs):
    """scrapyd's page of the jobs, whose buttons the gate lets through."""

    def render_GET(self, txrequest: Any) -> Any:
        self.token = form_token(txrequest)
        return super().render_GET(txrequest)

    def cancel_button(self, project: str, job: str) -> str:
        form: str = super().cancel_button(project, job)
        return form.replace("</form>", f"{token_field(self.token)}</form>")
