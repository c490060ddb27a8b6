"""Foreign text on one line: how names, headers and messages of others are shown in logs and errors.

Pure. It escapes what could break a line or a terminal, and never decides what may be shown at all.
"""

from __future__ import annotations


def printable(text: str, limit: int | None = None) -> str:
    """`text` on one line: line breaks, control, format and surrogate characters as Python escapes.

    Longer than `limit` characters, it ends in `…`. Backslashes stay as they are, so this is for reading,
    not for decoding.
    """
    cut = text if limit is None or len(text) <= limit else text[:limit] + "…"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
