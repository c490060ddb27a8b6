"""The overview of the commands, which `pns --help` shows: overview.txt, at its full width.

The text is kept so that the overview needs no tree of commands. A test compares the text with the tree.
"""

from __future__ import annotations

import os
import sys

WIDTH = 80
"""The columns for which the text is laid out. The tree uses no more on a wider terminal."""


def text() -> str:
    """The overview, or "" for a terminal that is too narrow for the text."""
    if _columns() < WIDTH:
        return ""
    with open(f"{os.path.dirname(__file__)}/overview.txt", encoding="utf-8") as file:
        return file.read()


def _columns() -> int:
    """As shutil.get_terminal_size, whose module takes longer to load than all of this."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or WIDTH  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return WIDTH
