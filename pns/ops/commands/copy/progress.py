"""The progress of a copy: a bar on a terminal, a line for every tenth elsewhere. Writes nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

LINES = 10
"""How many lines report a step without a terminal."""


class Progress(Protocol):
    """Receives the progress of each step, step after step."""

    def begin(self, what: str, *, total: int, done: int = 0) -> None:
        """A step begins: `done` of `total` rows are done already."""

    def advance(self, rows: int) -> None:
        """So many more are done."""


@contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """A progress, shown on `console` for as long as the context lasts."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (TextColumn("{task.description:<21}"), BarColumn(), MofNCompleteColumn(), Rate())
    with RichProgress(*columns, TimeRemainingColumn(), console=console) as bars:
        yield Bars(bars)


class Bars:
    """A bar for each step, except an empty step."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._bar: TaskID | None = None

    def begin(self, what: str, *, total: int, done: int = 0) -> None:
        self._bar = self._bars.add_task(what, total=total, completed=done, visible=total > 0)

    def advance(self, rows: int) -> None:
        assert self._bar is not None
        self._bars.advance(self._bar, rows)


class Rate(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s")


class Lines:
    """The same for a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._what = ""
        self._total = self._done = self._told = 0

    def begin(self, what: str, *, total: int, done: int = 0) -> None:
        self._what, self._total, self._done = what, total, done
        self._told = self._tenths()
        if done:
            self._console.print(f"{what}: {done:,} of {total:,} are there already", highlight=False)

    def advance(self, rows: int) -> None:
        self._done += rows
        if self._tenths() > self._told:
            self._told = self._tenths()
            self._console.print(f"{self._what}: {self._done:,} of {self._total:,}", highlight=False)

    def _tenths(self) -> int:
        return self._done * LINES // max(self._total, 1)
