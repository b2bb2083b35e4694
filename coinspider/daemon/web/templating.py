"""From values to HTML: the templates, what they may use, and what a browser lets them do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scrapy.utils.project import get_project_settings

from coinspider.daemon.gate.headers import policy, source_of
from coinspider.text import exact, readable, readable_seconds, short

VIEWS = {"": "Overview", "coins": "Coins", "crawls": "Crawls", "rejected": "Rejected records",
         "jobs": "Jobs", "logs/": "Logs"}  # fmt: skip
_TEMPLATES = Path(__file__).with_name("templates")
STYLE = _TEMPLATES.joinpath("style.css").read_text()
# Where it does not run, nothing is missing but convenience.
SCRIPT = _TEMPLATES.joinpath("script.js").read_text()
# Hosts of which a coin's logo is shown; with none of them nobody else learns who looks at what.
LOGO_HOSTS = tuple(get_project_settings().get("VIEW_LOGO_HOSTS").replace(",", " ").split())
POLICY = policy(
    style_src=source_of(STYLE), script_src=source_of(SCRIPT), connect_src="'self'",
    img_src=" ".join(["'self'", *(f"https://{host}" for host in LOGO_HOSTS)]),
)  # fmt: skip
Arguments = Mapping[str, str]
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def link(arguments: Arguments, **changes: object) -> str:
    """The query of the same page with other arguments; ``None`` takes one away."""
    merged = {**arguments, **changes}
    return f"?{urlencode({name: value for name, value in merged.items() if value is not None})}"


def token_field(token: str) -> Markup:
    """The field of each form that changes something: see :func:`form_token`."""
    return Markup('<input type="hidden" name="token" value="{}">').format(token)


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """``12 s ago``, ``3 min ago``, ``2 h ago``, ``5 d ago``."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 0:
        return "just now"
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def per_cent(value: Decimal | None) -> str:
    """With a sign, and as many digits as say something: ``+2.41 %``, ``-0.03 %``, ``+1,204 %``."""
    if value is None:
        return ""
    if not value.is_finite():
        return str(value)
    places = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    if value.adjusted() >= 12:
        return f"{'+' if value > 0 else ''}{short(value)} %"
    rounded = round(value, places)
    return f"{rounded:+,.{places}f} %" if rounded else f"{abs(rounded):.{places}f} %"


def direction(value: Decimal | None) -> str:
    """``up`` or ``down`` as the sign that is shown: for its colour."""
    text = per_cent(value)
    return {"+": "up", "-": "down"}.get(text[:1], "")


def hue(text: str) -> int:
    """A colour for a text, the same each time."""
    return int.from_bytes(sha256(text.encode()).digest()[:2], "big") % 360


environment = Environment(
    loader=PackageLoader("coinspider.daemon.web"), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
environment.filters |= {
    "readable": readable, "exact": exact, "short": short, "age": age, "per_cent": per_cent,
    "direction": direction, "hue": hue, "duration": readable_seconds,
    "combine": lambda first, second: {**second, **first},
}  # fmt: skip
environment.globals |= {
    "navigation": VIEWS, "style": STYLE, "script": SCRIPT, "link": link, "token_field": token_field,
    "logo_hosts": LOGO_HOSTS, "root": "", "section": None,
}  # fmt: skip


def render(template: str, **values: Any) -> str:
    return environment.get_template(template).render(values)
