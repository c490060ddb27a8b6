"""Memory that many connections leave behind. The C library keeps it for later: 515 of 620 MB after 2,000
peers that read nothing.

And the search for garbage, which the imported modules need not be part of.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable
from typing import Any

from pns.runtime.clock import Clock

FEWER = 200
"""How many connections must have gone, so that giving back is worth its time."""
MANY = 20
"""How many must go from one look to the next, so that giving back waits for the others that go with them."""
PAUSE_SECONDS = 60.0
YOUNG = 10_000
"""How many new objects Python looks through at once for cycles. Python's own 700 are those of a few requests
under way, which are no garbage: a notify costs up to 8 % less.
"""


def search_less() -> None:
    """Look for garbage less often, and never among the objects of now. To be called before serving."""
    gc.freeze()
    gc.set_threshold(YOUNG)


def _malloc_trim() -> Callable[[int], object] | None:
    """None where the C library has no such function (musl, macOS)."""
    try:
        found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return found


_TRIM = _malloc_trim()


class Connections(set[Any]):
    """The open connections. `most`: how many were open at once, at any moment since it was last set."""

    most = 0

    def add(self, connection: Any, /) -> None:
        super().add(connection)
        if len(self) > self.most:
            self.most = len(self)


class Heap:
    """Gives free memory back to the machine when many connections have gone, at most once a minute."""

    def __init__(
        self, connections: Connections, clock: Clock, *, trim: Callable[[int], object] | None = _TRIM
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._trim = trim
        self._last = 0
        self._next = 0.0

    async def look(self) -> None:
        """To be called once a second. Other tasks go on meanwhile."""
        now, are, most = self._clock.monotonic(), len(self._connections), self._connections.most
        going, self._last = self._last - are, are
        # What a connection held goes a moment after the connection.
        if self._trim is None or most - are < FEWER or going >= MANY or now < self._next:
            return
        self._connections.most, self._next = are, now + PAUSE_SECONDS
        await asyncio.to_thread(self._trim, 0)
