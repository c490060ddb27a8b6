"""What a measurement is given: where to work, how much to do, and servers to measure."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import Progress

from bench.load.application import Application
from bench.machine import Machine
from bench.server_process import Server

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the benchmark. A quick one does everything, with hardly any of it."""

    folder: Path
    application: Application
    machine: Machine
    progress: Progress
    quick: bool

    def many(self, whole: T, quick: T) -> T:
        """How much to do."""
        return quick if self.quick else whole

    @property
    def turns(self) -> int:
        return self.many(5, 2)

    @property
    def seconds(self) -> float:
        """How long one turn measures."""
        return self.many(2.0, 0.25)

    @asynccontextmanager
    async def servers(self, *kinds: str, **settings: Any) -> AsyncIterator[list[Server]]:
        """Running servers of these kinds, on the same settings."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    Server(kind, self.folder, auth_url=self.application.url, **settings)
                )
                for kind in kinds
            ]

    async def in_turns(self, name: str, *measurements: Callable[[], Awaitable[float]]) -> list[list[float]]:
        """What each measurement found, turn by turn: A, B, A, B … so that what disturbs one disturbs all."""
        found: list[list[float]] = [[] for _ in measurements]
        for _ in self.progress.track(range(self.turns), description=name):
            for values, measure in zip(found, measurements, strict=True):
                values.append(await measure())
        return found


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of the turns' ratios: both of a turn were measured one after the other."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))
