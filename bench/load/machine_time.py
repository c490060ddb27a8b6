"""How busy the server and the load generator were while something was measured.

A figure says something about the server only where the generator had time to spare.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Measured(Protocol):
    """The other side: a process that knows its CPU time, and lists for shares of a core."""

    busy: list[float]
    generator_busy: list[float]

    def cpu_seconds(self) -> float: ...


@contextmanager
def busy(server: Measured) -> Iterator[None]:
    """Note in `server.busy` and `server.generator_busy` the share of a core each used inside."""
    begin, own, its = time.perf_counter(), time.process_time(), server.cpu_seconds()
    yield
    passed = time.perf_counter() - begin
    server.busy.append((server.cpu_seconds() - its) / passed)
    server.generator_busy.append((time.process_time() - own) / passed)
