"""A clock whose time stands still until a test moves it.

Fits pns.runtime.clock.Clock. Nothing here reads the machine's clock, so a test with this clock cannot fail by
time. `until_sleeping()` returns when the code under test waits; `advance()` lets the time pass.
"""

from __future__ import annotations

import asyncio

from pns.model.timestamp import SECOND

_START = 1_800_000_000_000_000
"""An arbitrary moment in 2027, in microseconds since the epoch."""


class FakeClock:
    """Wall and monotonic time that pass only by `advance`. Belongs to one event loop."""

    def __init__(self, now: int = _START) -> None:
        self._now = now
        self._monotonic = 1_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._arrivals: list[asyncio.Future[None]] = []

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Return once `advance` has passed the deadline; for 0 and less, after one turn of the loop."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        sleeper = (self._monotonic + seconds, future)
        self._sleepers.append(sleeper)
        self._announce()
        try:
            await future
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks, and wake each sleeper with a reached deadline, earliest first.

        Woken tasks run at the caller's next await. A loop that sleeps again sleeps from the new time on.
        """
        if seconds < 0:
            raise ValueError("time does not go back; the wall clock may: see jump()")
        self._monotonic += seconds
        self._now += round(seconds * SECOND)
        due = sorted((s for s in self._sleepers if s[0] <= self._monotonic), key=lambda sleeper: sleeper[0])
        self._sleepers = [s for s in self._sleepers if s[0] > self._monotonic]
        for _, future in due:
            if not future.done():
                future.set_result(None)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or back, as an operator or NTP does. Nobody wakes."""
        self._now += round(seconds * SECOND)

    @property
    def sleepers(self) -> int:
        """How many tasks sleep now."""
        return len(self._sleepers)

    async def until_sleeping(self, count: int = 1) -> None:
        """Return as soon as at least `count` tasks sleep."""
        while len(self._sleepers) < count:
            arrival = asyncio.get_running_loop().create_future()
            self._arrivals.append(arrival)
            await arrival

    def _announce(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        for arrival in arrivals:
            if not arrival.done():
                arrival.set_result(None)
