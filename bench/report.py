"""The one table: every figure beside what it is compared with, on the screen and in bench/RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from bench.machine import Machine

PEERS = "# PNS beside its peers\n"
"""The head of the second part of bench/RESULTS.md."""
_HEADINGS = ("what", "PNS", "compared with", "ratio", "goal", "", "how busy")


class Goal(NamedTuple):
    """What a ratio must reach: at least, or at most, `bound`."""

    bound: float
    at_most: bool = False

    def holds(self, ratio: float) -> bool:
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


class Figure(NamedTuple):
    """One line. `ratio` is PNS's value to the one that it is compared with, both of the same run.

    `disturbed`: other work had too much of the cores for the ratio to be held against the goal.
    """

    what: str
    value: str
    compared: str = ""
    ratio: float | None = None
    goal: Goal | None = None
    load: str = ""
    disturbed: bool = False

    @property
    def verdict(self) -> str:
        if self.goal is None or self.ratio is None:
            return ""
        if self.disturbed:
            return "not judged: other work had the cores"
        return "holds" if self.goal.holds(self.ratio) else "MISSED"

    @property
    def cells(self) -> Sequence[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "" if self.goal is None else str(self.goal)
        return self.what, self.value, self.compared, ratio, goal, self.verdict, self.load


def table(figures: Iterable[Figure]) -> Table:
    """For a terminal."""
    shown = Table(*_HEADINGS)
    for figure in figures:
        shown.add_row(*figure.cells)
    return shown


def write(path: Path, figures: Iterable[Figure], machine: Machine, *, quick: bool) -> None:
    """For people who read it later."""
    lines = [
        "# What PNS reaches",
        "",
        "Written by `make bench` (`python -m bench`). Both values of a line come from the same run, measured",
        "in turns, and are medians of the turns; the ratio is the median of the ratios of each turn. Server",
        "and load generator had a core each. Times and rates depend on the machine, ratios much less.",
        "",
        *(["**A quick run: it shows that everything works, the figures say little.**", ""] if quick else []),
        *(f"- {line}" for line in machine.lines),
        "",
        _row(_HEADINGS),
        _row("---" for _ in _HEADINGS),
        *(_row(figure.cells) for figure in figures),
        "",
    ]
    keep_behind(path, "\n".join(lines))


def keep_behind(path: Path, text: str) -> None:
    """Write `text`, and behind it the old text from PEERS on: another run writes that."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    kept = old[old.index(PEERS) :] if PEERS in old else ""
    path.write_text(f"{text}\n{kept}" if kept else text, encoding="utf-8")


def write_peers(path: Path, text: str) -> None:
    """Write `text`, which begins with PEERS, behind what `write` has written."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    own = old[: old.index(PEERS)] if PEERS in old else f"{old}\n" if old else ""
    path.write_text(own + text, encoding="utf-8")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
