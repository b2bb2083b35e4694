"""Secrets from files, as containers and systemd provide them."""

import json
import os
import re
import stat
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coinspider.setting_kinds import unquoted

_SECRET = re.compile(
    r"^\s*(?:export\s+)?(?:(?:\w+_(?:KEY|TOKEN|PASSWORD)|ALERT_URL)[ \t]*=[ \t]*\S"
    r"|DATABASE_URL[ \t]*=.*(?:://[^/@\s]*:[^/@\s]+@|password=))",
    re.MULTILINE,
)


# A name that says that its value is a secret, and one that says that it is not: a page's token.
_SECRET_NAME = re.compile(
    r"(?i)(?:api|access|private|subscription|license|client|app|auth)[_-]?key|^x-[\w-]*key$"
    r"|token|secret|passw|pwd|signature|^sig$|credential|auth(?!or\b|ors)|cookie"
)
_NO_SECRET_NAME = re.compile(
    r"(?i)page|next|cursor|continu|sync|_(?:header|parameter|scheme|file)$"
)
_URL = re.compile(r"""(?<=://)[^\s"<>]+""")
_PORT = re.compile(r"\d{1,5}(?:[/?#]|$)")
# NAME= in a query or in pairs, or "NAME": in JSON and Python, also in a text inside of a text.
_NAMED = re.compile(r"""(?<![\w.-])([\w.%\[\]-]{1,100})(?:=|(\\*["'])\s*:\s*\[?b?\2)""")
# What ends the value after each; a scheme stands before it.
_VALUES = {
    mark: re.compile(rf"(?i:(?:bearer|basic|token|digest|key) )?{value}", re.DOTALL)
    for mark, value in (
        (None, r"""[^,&#\s"'}\]]+"""),
        ('"', r'(?:[^"\\]|\\.)+'),
        ("'", r"(?:[^'\\]|\\.)+"),
    )
}
_FOR_URLS = str.maketrans("+/", "-_")
_NESTED = re.compile(r"""[^"'\\]+""")
MASK = "***"
# The arguments of scrapy crawl next that are sent.
_OF_REQUESTS = ("headers", "parameters", "body")
_LENGTH_MAX = 64_000  # characters
# Characters; anything shorter may be a part of any word.
_SHORTEST = 6
_known: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Take these out of whatever this process logs, stores or shows from now on.

    Some APIs repeat a key in their messages and links.
    """
    _known.update(value for value in values if len(value) >= _SHORTEST)


def masked(text: str) -> str:
    """A text for people, such as a URL: without users, passwords, keys and tokens in it.

    Whatever is stored or shown goes through here. Nobody reads more than 64,000 characters.
    """
    if len(text) > _LENGTH_MAX:
        text = f"{text[:_LENGTH_MAX]}..."
    for value in _known:
        text = _forms(value).sub(MASK, text)
    parts, at = [], 0
    for start, end in sorted(_spans(text)):
        if start >= at:
            parts += [text[at:start], MASK]
            at = end
    return "".join([*parts, text[at:]]) if parts else text


def masked_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a spider, as they are stored and shown."""
    return {
        name: masked_argument(f"{name}={value}").partition("=")[2]
        if isinstance(value, str)
        else value
        for name, value in arguments.items()
    }


def masked_argument(argument: str) -> str:
    """``NAME=VALUE`` of a spider or a setting; of headers that can't be read, no part is shown."""
    name, equals, value = argument.partition("=")
    if equals and name in _OF_REQUESTS and not _is_readable(value, name == "body"):
        return f"{name}={MASK}"
    return masked(argument)


def _is_readable(text: str, is_json: bool) -> bool:
    """Whether it is JSON, or ``NAME=VALUE,NAME=VALUE``."""
    if not is_json and not text.lstrip().startswith("{"):
        return all("=" in pair for pair in text.split(",") if pair.strip())
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def secret_values(text: str) -> set[str]:
    """What :func:`masked` takes out of a text, without the schemes and users before it."""
    found = [text[start:end] for start, end in _spans(text)]
    return {value.rpartition(mark)[2] for value in found for mark in (" ", ":")}


def is_secret_name(name: str) -> bool:
    """Whether the value of a parameter, a header or a field of this name looks like a secret."""
    return bool(_SECRET_NAME.search(name) and not _NO_SECRET_NAME.search(name))


@lru_cache
def _forms(value: str) -> re.Pattern[str]:
    """A value as it is, as URLs, JSON and HTML have it, and in base64 with others around it."""
    data = value.encode("utf-8", "surrogateescape")
    # Three bytes are four characters: after one or two bytes of others, the first are not its own.
    in_base64 = [
        b64encode(bytes(before) + data).decode()[skipped : (before + len(data)) * 4 // 3]
        for before, skipped in enumerate((0, 2, 3))
    ]
    for_urls = [text.translate(_FOR_URLS) for text in in_base64]
    texts = dict.fromkeys([value, *in_base64, *for_urls])
    return re.compile("|".join("".join(map(_any_form, text)) for text in texts))


def _any_form(char: str) -> str:
    """The expression of a character: only those that have another meaning are written otherwise."""
    if char.isascii() and (char.isalnum() or char in "-._~"):
        return re.escape(char)
    in_url = quote(char, "", errors="surrogateescape")
    in_html = f"{re.escape(escape(char))}|&#(?:0*{ord(char)}|x0*{ord(char):x});"
    escaped = r"\\+".join(map(re.escape, json.dumps(char)[1:-1].split("\\")))
    in_json = rf"\\*{re.escape(char)}|{escaped}"
    plus = r"|\+" if char == " " else ""
    return f"(?i:{in_url}|{in_html}|{in_json}{plus})"


def _spans(text: str) -> Iterator[tuple[int, int]]:
    for found in _URL.finditer(text):
        if user := _user(found[0]):
            yield found.start(), found.start() + len(user)
    end = 0
    for found in _NAMED.finditer(text):
        name, quote = found.groups()
        is_key = name.lower() == "key" and text[found.start() - 1 : found.start()] in ("?", "&")
        if found.start() >= end and (is_key or is_secret_name(name)):
            pattern = _NESTED if quote and len(quote) > 1 else _VALUES[quote]
            if value := pattern.match(text, found.end()):
                end = value.end()
                yield value.span()


def _user(address: str) -> str:
    """``me:secret`` of ``me:secret@host/path``, whatever the secret has in it."""
    authority = re.split("[/?#]", address, maxsplit=1)[0]
    if "@" in authority:
        return authority.rpartition("@")[0]
    name, colon, rest = address.partition(":")
    is_user = colon and len(name) < len(authority) and not name.startswith("[")
    return address.rpartition("@")[0] if is_user and not _PORT.match(rest) else ""


def secret(name: str) -> str | None:
    """The environment variable ``name``, or the content of the file that ``name_FILE`` names.

    If that file can't be read, the program ends with status 2 and one line that says why: Scrapy
    imports the settings before anything could catch the error.
    """
    path = os.environ.get(f"{name}_FILE")
    if os.environ.get(name) or not path:
        return unquoted(os.environ.get(name, "")) or None
    try:
        # Most editors end a file with a newline, which is not part of the secret.
        return Path(path).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        print(f"coinspider: {name}_FILE={path} can't be read: {reason}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


def forget(*names: str) -> None:
    """Leave nothing of these secrets to the processes that this one starts."""
    for name in names:
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)


def warn_of_open_file(path: Path) -> None:
    """Warn, in one line on standard error, if others can read the secrets in ``.env``."""
    try:
        is_open = os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
        if is_open and _SECRET.search(path.read_text("utf-8", "replace")):
            print(  # noqa: T201
                f"coinspider: {path} holds secrets that other users of this machine can read:"
                f" chmod 600 {path}",
                file=sys.stderr,
            )
    except OSError:
        return
