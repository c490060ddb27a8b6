"""A moment by which something must have come. Setting and moving it is cheap: the timer of the loop is set
rarely, because a request moves its deadline several times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """Calls `late` once when the moment has come. `late` may set the next one."""

    __slots__ = ("_at", "_due", "_late", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[], None]) -> None:
        self._loop = loop
        self._late = late
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def set(self, seconds: float) -> None:
        """The moment is `seconds` from now, whatever it was before."""
        self._due = self._loop.time() + seconds
        if self._timer is None or self._due < self._at:
            self._wake_at(self._due)

    def clear(self) -> None:
        """Nothing is waited for until `set`."""
        self._due = None

    def end(self) -> None:
        """As `clear`, for good: neither the loop nor this holds `late` any more."""
        self._due = None
        self._late = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._at = self._loop.call_at(at, self._look), at

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._wake_at(self._due)
            return
        self._due = None
        self._late()


def _nothing() -> None: ...
