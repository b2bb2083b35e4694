"""What standard output can show: its width, colours and characters."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import NamedTuple

from coinspider.text import visible


class TableStyle(NamedTuple):
    """How to write a table: its width in cells (``None`` for any), and what it may use."""

    width: int | None = None
    color: bool = False
    encoding: str = "utf-8"
    all_digits: bool = False
    first: Sequence[str] = ()
    """The most important columns, in order of priority."""
    needed: int = 1
    """How many of these are never left out."""

    def can_show(self, text: str) -> bool:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True

    def shown(self, text: str) -> str:
        """A text from outside as one line that the terminal can show."""
        text = visible(text)
        if self.can_show(text):
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)


def terminal_style(color: bool | None, all_digits: bool = False) -> TableStyle:
    """The style for standard output; ``color=None`` means whatever the terminal can show.

    https://no-color.org
    """
    is_terminal = sys.stdout.isatty()
    if color is None:
        color = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    known = is_terminal or os.environ.get("COLUMNS", "").isdecimal()
    width = shutil.get_terminal_size().columns if known else None
    return TableStyle(width, color, sys.stdout.encoding or "ascii", all_digits)
