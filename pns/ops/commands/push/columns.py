"""Lines of text in columns, for people and for `grep`: always a line for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pns.runtime.one_line import printable


class Columns:
    """Each column is as wide as its widest cell so far, so rows may come in pages."""

    def __init__(self, *headings: str) -> None:
        self._headings = headings
        self._widths = [0] * len(headings)
        self._begun = False

    def lines(self, rows: Sequence[Sequence[str]]) -> Iterator[str]:
        """The next rows, at first after the headings. Characters that could break a line are escaped."""
        shown = [[printable(cell) or "-" for cell in row] for row in rows]
        if shown and not self._begun:
            shown, self._begun = [list(self._headings), *shown], True
        for row in shown:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        for row in shown:
            cells = [cell.ljust(width) for cell, width in zip(row, self._widths, strict=True)]
            yield "  ".join(cells).rstrip()
