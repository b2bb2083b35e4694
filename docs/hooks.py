"""What the pages take from the code when the site is built."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from coinspider.setting_kinds import KINDS

SETTINGS = Path(__file__).parent.parent / "coinspider/settings.py"
MARKER = "<!-- the tables of settings -->"
_ASSIGNMENT = re.compile(r"^([A-Z][A-Z0-9_]+)(?:: [^=]+)? = (.*?)(?:  # (.*))?$")
_ENVIRONMENT = re.compile(r'(?:from_environment|secret)\("([A-Z_]+)"(?:, (.+?))?\)')
_DEFAULT_LENGTH = 40
_HEAD = "| setting | default | allowed | environment | |\n| --- | --- | --- | --- | --- |"


class Setting(NamedTuple):
    """A line of ``settings.py`` that sets something."""

    name: str
    default: str
    variable: str | None
    comment: str


class Group(NamedTuple):
    """Settings that belong together, and the comment above them."""

    comment: str
    settings: list[Setting]


def groups() -> list[Group]:
    """The settings in the order of ``settings.py``; a comment begins a new group."""
    found = [Group("", [])]
    comment: list[str] = []
    for line in SETTINGS.read_text().splitlines():
        if line.startswith("# "):
            comment.append(line.removeprefix("# "))
        elif match := _ASSIGNMENT.match(line):
            if comment:
                found.append(Group(" ".join(comment), []))
                comment = []
            found[-1].settings.append(_setting(*match.groups()))
        elif line:
            comment = []
    return [group for group in found if group.settings]


def _setting(name: str, value: str, comment: str | None) -> Setting:
    environment = _ENVIRONMENT.search(value)
    default = (environment[2] or "None") if environment else value
    if len(default) > _DEFAULT_LENGTH or default.endswith(("(", "{", "[")):
        default = "..."
    return Setting(name, default, environment and environment[1], comment or "")


def settings_tables() -> str:
    return "\n\n".join(_table(group) for group in groups())


def allowed(name: str) -> str:
    """What the setting may be, in the words of its errors."""
    return KINDS[name].allowed if name in KINDS else ""


def _table(group: Group) -> str:
    rows = [
        f"| `{setting.name}` | `{setting.default}` | {allowed(setting.name)} |"
        f" {f'`{setting.variable}`' if setting.variable else ''} | {setting.comment} |"
        for setting in group.settings
    ]
    return "\n".join([group.comment, "", _HEAD, *rows])


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return markdown.replace(MARKER, settings_tables())
