"""How often each of many devices may ask: the generic cell rate algorithm, a number for each recent device.

Pure: no clock is read. The allowance of a connection stands in its conversation.
"""

from __future__ import annotations

from collections.abc import Hashable

_FEW = 1024


class Allowances:
    """`rate` requests a second for each key, and `burst` seconds' worth of requests at once."""

    def __init__(self, rate: float, *, burst: float) -> None:
        self._interval = 1 / rate
        self._ahead = burst - self._interval / 2
        # When all that was asked would have been asked at the even rate: a key whose time has come is as new.
        self._even: dict[Hashable, float] = {}
        self._sweep_at = _FEW

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._even)

    def take(self, key: Hashable, *, now: float) -> bool:
        """Whether `key` may ask at `now`, monotonic seconds. A refusal uses nothing up."""
        even = max(now, self._even.get(key, now))
        if even - now > self._ahead:
            return False
        self._even[key] = even + self._interval
        if len(self._even) > self._sweep_at:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        self._even = {key: even for key, even in self._even.items() if even > now}
        # Twice what is left: sweeping costs no more than asking did.
        self._sweep_at = max(_FEW, 2 * len(self._even))
