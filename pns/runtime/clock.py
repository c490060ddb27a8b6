"""The clock: the only place of PNS that reads the time.

All code that waits or measures takes a `Clock`. A test therefore moves time itself (pns.testing.FakeClock)
and never sleeps.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for people, monotonic time for deadlines."""

    def now(self) -> int:
        """Microseconds since 1970 in UTC. This clock may jump, forwards and back: never measure with its
        values.
        """

    def monotonic(self) -> float:
        """Seconds from an arbitrary point; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1000

    monotonic = staticmethod(time.monotonic)
    """The system's own, without a call in between: each frame of a fan-out asks for the time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
