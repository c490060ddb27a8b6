"""What the figures were measured on: enough to compare them, nothing that names the machine."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

SYNCS = 100
PAGE = b"\0" * 4096
JUDGED_FROM = 0.0003
"""Seconds of an fsync from which group commit is judged: below, a commit of each request costs little."""


@dataclass(slots=True)
class Machine:
    """`folder`: where the databases are. `syncs`: every measurement of an fsync there, in seconds.

    Measured again beside what it matters to, because neighbours on the same disk come and go.
    """

    folder: Path
    syncs: list[float]
    load: float
    """Processes that wanted a core in the minute before: what other work there was."""

    @property
    def fsync_seconds(self) -> float:
        """The median of appending a page to a file and syncing it."""
        return statistics.median(self.syncs)

    @property
    def commits_cost(self) -> bool:
        """Whether an fsync takes long enough to judge group commit by."""
        return self.fsync_seconds >= JUDGED_FROM

    def measure_fsync(self) -> None:
        """Measure some more."""
        self.syncs.extend(_sync_seconds(self.folder))

    @property
    def lines(self) -> tuple[str, ...]:
        """The description, for people."""
        packages = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "websockets"))
        judged = "" if self.commits_cost else ", too fast to judge group commit by"
        return (
            f"{os.cpu_count()} cores ({platform.machine()}), {_memory_gib():.0f} GiB, "
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}",
            f"fsync p50 {self.fsync_seconds * 1000:.2f} ms{judged}",
            f"other work when it began: a load average of {self.load:.1f}",
        )


def describe(folder: Path) -> Machine:
    """This machine, and the disk under `folder`."""
    machine = Machine(folder, [], os.getloadavg()[0])
    machine.measure_fsync()
    return machine


def _sync_seconds(folder: Path) -> list[float]:
    took: list[float] = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            begin = time.perf_counter()
            file.write(PAGE)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    path.unlink()
    return took


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
