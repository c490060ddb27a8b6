"""The settings of the lines of a server, the frame of the last text, and a sweep for the pings of all lines
in place of a timer for each.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import Protocol

from pns.ops.serve.websocket.frames import TEXT, frame

FLUSH_SECONDS = 20.0
"""The time of a peer for the last bytes of an ended connection. Then the peer is dropped."""
CHUNK = 1000
"""Lines looked at in one turn of the event loop."""
_SHORT = 126


class Pinged(Protocol):
    """A line, as the sweep sees the line."""

    ping_at: float
    """When the line is to be pinged, or dropped, in seconds of the event loop."""

    def ping(self, now: float, *, payload: bytes) -> None:
        """Ping, or drop a peer that has not answered. Moves `ping_at`."""


class Lines:
    """The settings of the lines of one server."""

    def __init__(
        self, *, most_bytes: int, ping_seconds: float = 20.0, flush_seconds: float = FLUSH_SECONDS
    ) -> None:
        """`most_bytes`: of a message. A peer is pinged after `ping_seconds` without a ping, and dropped
        without an answer in the same time again.
        """
        self.most_bytes = most_bytes
        self.ping_seconds = ping_seconds
        self.flush_seconds = flush_seconds
        self.last_text: str | None = None
        self.last_frame = b""

    def frame(self, text: str) -> bytes:
        """The frame of `text`, kept as `last_frame` if it is short: a fan-out sends a text to many lines."""
        made = frame(TEXT, text.encode())
        if len(text) < _SHORT:
            self.last_text, self.last_frame = text, made
        return made

    async def look(self, lines: Iterable[Pinged]) -> None:
        """Ping the due ones of `lines`, and drop the lines without an answer. To be called each second."""
        now = asyncio.get_running_loop().time()
        for number, line in enumerate(lines):
            if now >= line.ping_at:
                line.ping(now, payload=random.getrandbits(32).to_bytes(4))
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
