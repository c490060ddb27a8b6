"""How often a device may ask: the generic cell rate algorithm, a single number for each device.

Pure: no clock is read. A connection keeps its number in the conversation. The devices that ask without a
connection have their numbers in web/allowance.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Allowance(NamedTuple):
    """`rate` requests a second, and `burst` seconds' worth of requests at once.

    The number of a device is its *even* time: the monotonic seconds when all its requests would have been
    asked at the even rate. A device whose even time has passed is as good as new.
    """

    rate: float
    burst: float

    def spend(self, even: float, *, now: float) -> float | None:
        """The even time after another request at `now`. None: the device may not ask now."""
        interval = 1 / self.rate
        even = max(now, even)
        return even + interval if even - now <= self.burst - interval / 2 else None
