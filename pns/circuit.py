"""How much may be sent to a service, and when: a circuit breaker, a pace, a wait after failures.

Pure; they read no clock. `now` is monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 5
"""So many in a row, and the circuit opens."""
FIRST_SECONDS = 1.0
MOST_SECONDS = 300.0
MOST_RETRY_AFTER = 3600.0
"""A service may ask to be left alone for an hour; then it is tried again all the same, with one push."""

RETRY_SECONDS = 2.0
MOST_RETRY_SECONDS = 900.0
"""As Apple advises after an error of its servers."""


class Circuit:
    """Open after several failures in a row; then one trial at a time, until one succeeds."""

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self.reason = ""
        """Of the newest failure."""
        self._trials = 0
        self._open_until = 0.0
        self._trying_until = 0.0

    @property
    def is_open(self) -> bool:
        return self.failures >= FAILURES

    def wait(self, now: float) -> float:
        """Seconds until something may be sent; 0 for now."""
        if not self.is_open:
            return 0.0
        return max(0.0, max(self._open_until, self._trying_until) - now)

    def most(self, room: int) -> int:
        """How many of `room` may be sent at once: one while it is a trial."""
        return min(room, 1) if self.is_open else room

    def try_until(self, until: float) -> bool:
        """Something is sent; returns whether it is a trial. Then nothing else is, at most until `until`."""
        if self.is_open:
            self._trying_until = until
        return self.is_open

    def succeeded(self) -> bool:
        """Returns whether that closed it."""
        was_open = self.is_open
        self.failures, self.reason, self._trials = 0, "", 0
        self._open_until = self._trying_until = 0.0
        return was_open

    def undecided(self, *, trial: bool) -> None:
        """What was sent said nothing of the service; if it was a trial, another may follow at once."""
        if trial:
            self._trying_until = 0.0

    def failed(
        self, now: float, reason: str, *, retry_after: float | None = None, trial: bool = False
    ) -> bool:
        """Returns whether that opened it.

        A trial that fails doubles the wait. What was under way when it opened does not: all of that is one
        trouble, however much there was.
        """
        self.failures += 1
        self.reason = reason
        wait = min(retry_after or 0.0, MOST_RETRY_AFTER)
        if trial:
            self._trying_until = 0.0
            self._trials += 1
        if trial or self.failures == FAILURES:
            wait = max(wait, min(FIRST_SECONDS * 2 ** min(self._trials, 16), MOST_SECONDS))
        if self.is_open:
            self._open_until = max(self._open_until, now + wait)
        return self.failures == FAILURES


class Pace:
    """At most `rate` a second, and a tenth of a second's worth at once."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._ahead = max(0.1, self._interval)
        self._even = 0.0

    def most(self, now: float) -> int:
        """How many may go now."""
        return max(0, int((now + self._ahead - max(self._even, now)) / self._interval + 1e-6))

    def took(self, count: int, now: float) -> None:
        """So many went."""
        self._even = max(self._even, now) + count * self._interval

    def wait(self, now: float) -> float:
        """Seconds until one may go; 0 for now."""
        return max(0.0, self._even + self._interval - self._ahead - now)


def retry_seconds(
    attempt: int, *, retry_after: float | None, random: Callable[[], float], first: float = RETRY_SECONDS
) -> float:
    """How long to wait after the failure of `attempt`, from 1. Never shorter than after the one before it.

    Doubles, up to a quarter of an hour, with up to half of it more, so that those that failed together do
    not come back together. What the service asked for goes before it, unless that is shorter than any wait.
    """
    if retry_after is not None and retry_after >= first:
        return retry_after * (1 + random() / 10)
    if first * 2 ** min(attempt - 1, 30) >= MOST_RETRY_SECONDS:
        return MOST_RETRY_SECONDS * 1.5
    return float(first * 2 ** (attempt - 1)) * (1 + random() / 2)
