"""From values to HTML: the templates, their functions, and the content security policy."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scrapy.utils.project import get_project_settings

from coinspider.daemon.gate.headers import policy, source_of
from coinspider.daemon.web.cells import age, all_digits, amount, cell, change, due, time, until
from coinspider.text import exact, readable, readable_seconds, visible

VIEWS = {"": "Overview", "coins": "Coins", "crawls": "Crawls", "rejected": "Rejected",
         "jobs": "Jobs", "logs/": "Logs"}  # fmt: skip
_TEMPLATES = Path(__file__).with_name("templates")
STYLE = _TEMPLATES.joinpath("style.css").read_text()
# Without it nothing but convenience is missing.
SCRIPT = _TEMPLATES.joinpath("script.js").read_text()
# Hosts from which coins' logos are shown; without any, nobody else learns who looks at what.
LOGO_HOSTS = tuple(get_project_settings().get("VIEW_LOGO_HOSTS").replace(",", " ").split())
POLICY = policy(
    style_src=source_of(STYLE), script_src=source_of(SCRIPT), connect_src="'self'",
    img_src=" ".join(["'self'", *(f"https://{host}" for host in LOGO_HOSTS)]),
)  # fmt: skip
Arguments = Mapping[str, str]


def link(arguments: Arguments, **changes: object) -> str:
    """The query of the same page with other arguments; ``None`` removes one."""
    merged = {**arguments, **changes}
    kept = {name: value for name, value in merged.items() if value is not None}
    return "?" + urlencode(kept, safe=",")


def token_field(token: str) -> Markup:
    """The field of each form that changes something: see :func:`form_token`."""
    return Markup('<input type="hidden" name="token" value="{}">').format(token)


def hue(text: str) -> int:
    """A colour for a text, the same each time."""
    return int.from_bytes(sha256(text.encode()).digest()[:2], "big") % 360


environment = Environment(
    loader=PackageLoader("coinspider.daemon.web"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
environment.filters |= {
    "readable": readable, "exact": exact, "visible": visible, "hue": hue,
    "duration": readable_seconds,
    "host": lambda address: urlsplit(address).hostname or address,
    "combine": lambda first, second: {**second, **first}, "age": age,
}  # fmt: skip
environment.globals |= {
    "navigation": VIEWS, "style": STYLE, "script": SCRIPT, "link": link, "token_field": token_field,
    "logo_hosts": LOGO_HOSTS, "root": "", "section": None, "logout": "",
    "cell": cell, "amount": amount, "change": change, "time": time, "until": until, "due": due,
    "all_digits": all_digits,
}  # fmt: skip


def render(template: str, **values: Any) -> str:
    return environment.get_template(template).render(values)
