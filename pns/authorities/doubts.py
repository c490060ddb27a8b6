"""The log of doubts: one warning a question that had no answer, but never a flood of them.

When the application is away, every open tab is a doubt; the log then says so once a second, with how many.
"""

from __future__ import annotations

import logging

from pns.clock import Clock

_QUIET_SECONDS = 1.0


class DoubtLog:
    """Writes the first doubt at once and then at most one line a second."""

    def __init__(self, log: logging.Logger, *, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._quiet_until = float("-inf")
        self._unwritten = 0

    def write(self, what: str, reason: str) -> None:
        now = self._clock.monotonic()
        if now < self._quiet_until:
            self._unwritten += 1
            return
        more = f" ({self._unwritten} more since the line before)" if self._unwritten else ""
        self._log.warning("%s: %s%s", what, reason, more)
        self._quiet_until, self._unwritten = now + _QUIET_SECONDS, 0
