"""What the figures were measured on: enough to compare them, nothing that names the machine."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

SYNCS = 300
PAGE = b"\0" * 4096
JUDGED_FROM = 0.0003
"""Seconds of an fsync from which group commit is judged: below, a commit of each request costs little."""


class Machine(NamedTuple):
    """`fsync_seconds`: the median of appending a page to a file in the benchmark's folder and syncing it."""

    lines: tuple[str, ...]
    fsync_seconds: float

    @property
    def commits_cost(self) -> bool:
        return self.fsync_seconds >= JUDGED_FROM


def describe(folder: Path) -> Machine:
    """This machine, and the disk under `folder`."""
    fsync = fsync_seconds(folder)
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "websockets"))
    judged = "" if fsync >= JUDGED_FROM else ", too fast to judge group commit by"
    return Machine(
        (
            f"{os.cpu_count()} cores ({platform.machine()}), {_memory_gib():.0f} GiB, "
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}",
            f"fsync p50 {fsync * 1000:.2f} ms{judged}",
        ),
        fsync,
    )


def fsync_seconds(folder: Path) -> float:
    """The median time of writing a page at the end of a file and syncing it."""
    took: list[float] = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            begin = time.perf_counter()
            file.write(PAGE)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    path.unlink()
    return statistics.median(took)


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
