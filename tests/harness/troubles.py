"""What PNS prints when it does not start, or says that something is away: docs/operations.md lists it."""

from __future__ import annotations


def assert_told(row: str, output: str) -> None:
    """`output` has what the first cell of a row of docs/operations.md promises, on one line.

    `row` is that cell's text without its backticks; `…` stands for whatever varies. Each row of the table
    is the `row` of a call in tests/troubles/, and the other way round: tests/docs/test_troubles.py compares.
    """
    assert any(_has(row.split("…"), line) for line in output.splitlines()), f"no {row!r} in:\n{output}"


def _has(pieces: list[str], line: str) -> bool:
    end = 0
    for piece in pieces:
        start = line.find(piece.strip(), end)
        if start < 0:
            return False
        end = start + len(piece.strip())
    return True
