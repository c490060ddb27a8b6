"""How often each of many devices may ask: an even time for each device that asked lately (live/allowance.py).

The allowance of a connection stands in its conversation.
"""

from __future__ import annotations

from collections.abc import Hashable

from pns.live.allowance import Allowance

_FEW = 1024


class Allowances:
    """`rate` requests a second for each key, and `burst` seconds' worth of requests at once."""

    def __init__(self, rate: float, *, burst: float) -> None:
        self._allowance = Allowance(rate, burst)
        self._even: dict[Hashable, float] = {}
        self._forget_at = _FEW

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._even)

    def take(self, key: Hashable, *, now: float) -> bool:
        """Whether `key` may ask at `now`, monotonic seconds. A refusal uses nothing up."""
        even = self._allowance.spend(self._even.get(key, now), now=now)
        if even is None:
            return False
        self._even[key] = even
        if len(self._even) > self._forget_at:
            self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        self._even = {key: even for key, even in self._even.items() if even > now}
        # Twice the number of the kept keys: forgetting costs no more than asking did.
        self._forget_at = max(_FEW, 2 * len(self._even))
