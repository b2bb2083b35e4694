"""Secrets from files, as containers and systemd provide them."""

import os
import re
import stat
import sys
from pathlib import Path

from coinspider.setting_kinds import unquoted

_SECRET = re.compile(
    r"^\s*(?:export\s+)?(?:\w+_(?:KEY|TOKEN|PASSWORD)|DATABASE_URL|ALERT_URL)[ \t]*=[ \t]*\S",
    re.MULTILINE,
)


# A name that says that its value is a secret, and one that says that it is not: a page's token.
_SECRET_NAME = re.compile(r"(?i)api[_-]?key|^key$|token|secret|passw|pwd|signature|auth|cookie")
_NO_SECRET_NAME = re.compile(r"(?i)page|next|cursor|continu|sync")
_PARAMETER = re.compile(r"""([?&])([^=&?#\s"']*)(=)([^&#\s"']+)""")
_MEMBER = re.compile(r"""(")([^"\\]*)("\s*:\s*")([^"]*)""")
_USER = re.compile(r"(?<=://)[^\s/@?#]+@")


def masked(text: str) -> str:
    """A text, such as a URL, for people: without users, passwords, keys and tokens in it."""
    text = _USER.sub("***@", text)
    return _MEMBER.sub(_mask, _PARAMETER.sub(_mask, text))


def _mask(found: re.Match[str]) -> str:
    before, name, between, _ = found.groups()
    is_secret = _SECRET_NAME.search(name) and not _NO_SECRET_NAME.search(name)
    return f"{before}{name}{between}***" if is_secret else found[0]


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
