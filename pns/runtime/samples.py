"""The node's figures of the last hour, a sample each ten seconds, in memory: for the operator's charts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

SAMPLE_SECONDS = 10.0
MOST = 360
_GAUGES = ("pns_connections", "pns_users_connected", "pns_loop_lag_seconds")
_COUNTERS = ("pns_notifications_stored_total", "pns_pushes_total", "pns_refusals_total", "pns_logins_total")


class Sample(NamedTuple):
    """The figures of a moment, by the names of the metrics. `at`: seconds of a monotonic clock."""

    at: float
    figures: dict[str, float]


class Samples:
    """A ring: a new sample takes the place of the oldest."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._ring: deque[Sample] = deque(maxlen=MOST)

    async def tick(self) -> None:
        """Take a sample."""
        figures = self._metrics.figures((*_GAUGES, *_COUNTERS))
        self._ring.append(Sample(self._clock.monotonic(), figures))

    def gauge(self, name: str) -> Sequence[float]:
        """The values of a gauge, oldest first."""
        return [sample.figures.get(name, 0.0) for sample in self._ring]

    def rate(self, name: str) -> Sequence[float]:
        """How much a counter rose in a second, between each two samples, oldest first."""
        return [
            (newer.figures.get(name, 0.0) - older.figures.get(name, 0.0)) / max(newer.at - older.at, 1e-3)
            for older, newer in pairwise(self._ring)
        ]
