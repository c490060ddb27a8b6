"""How long to wait before trying again. Pure; the random source is the caller's."""

from __future__ import annotations

from collections.abc import Callable


def full_jitter(attempt: int, *, base: float, cap: float, random: Callable[[], float]) -> float:
    """Seconds before retry number `attempt` (0 is the first): uniform over 0 … min(cap, base · 2^attempt).

    Full jitter spreads a crowd best: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    `random` returns a float in [0, 1).
    """
    return random() * min(cap, base * 2.0 ** min(attempt, 60))
