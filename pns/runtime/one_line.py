"""Foreign text on a single line: the form of foreign names, headers and messages in logs and errors.

Pure. The text is escaped where it could break a line or a terminal. Whether the text may be shown at all is
the caller's decision.
"""

from __future__ import annotations


def printable(text: str, limit: int | None = None) -> str:
    """`text` on a single line: line breaks, control, format and surrogate characters as Python escapes.

    A text longer than `limit` characters ends in `…`. Backslashes stay as they are, so the result is for
    reading, not for decoding.
    """
    cut = text if limit is None or len(text) <= limit else text[:limit] + "…"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
