"""A server of bench/server.py in a process of its own, pinned to the server's core."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.harness.server import API_KEY, ServerProcess

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
GENERATOR_CORE = CORES[-1]
KEY = API_KEY
UNDISTURBED = 0.85
"""Share of its core from which a server that never waits was not held up by other processes."""


class Server(ServerProcess):
    """One kind of server (see bench/server.py). `busy` and `generator_busy`: shares of a core, a measurement
    each, while this server was measured."""

    def __init__(
        self, kind: str, folder: Path, *, auth_url: str, command: list[str] | None = None, **settings: Any
    ) -> None:
        own = folder / f"{kind}-{len(list(folder.iterdir()))}"
        own.mkdir()
        command = command or [sys.executable, "-m", "bench.server", kind, str(SERVER_CORE)]
        everybody: dict[str, Any] = {"limits__connections_per_user": 100_000, "log__level": "warning"}
        super().__init__(own, auth_url=auth_url, command=command, **everybody, **settings)
        self.kind = kind
        self.busy: list[float] = []
        self.generator_busy: list[float] = []

    def cpu_seconds(self) -> float:
        """CPU time used so far, by all threads."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    @property
    def had_its_core(self) -> bool:
        """Whether this server, which had something to do all the time, was left alone with its core."""
        return statistics.median(self.busy) >= UNDISTURBED

    @property
    def load(self) -> str:
        """How busy server and generator were, as text; a server that is not busy was not the bottleneck."""
        if not self.busy:
            return ""
        server, generator = statistics.median(self.busy), statistics.median(self.generator_busy)
        return f"server {server:.0%}, generator {generator:.0%} of a core"


@contextmanager
def on_cores(cores: Iterable[int] = CORES) -> Iterator[None]:
    """Processes that are started meanwhile run on these, by default on all, not on the generator's alone."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    yield
    os.sched_setaffinity(0, own)
