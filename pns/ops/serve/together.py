"""The transport of a request's answer, which writes the head of a whole answer with the answer's body.

uvicorn writes the two one after the other: a call of the system each, and two packets. The calls are a
twentieth of a notify.
"""

from __future__ import annotations

import asyncio


class Together:
    """A transport for one answer. `hold` keeps the next piece, which goes with the piece after."""

    __slots__ = ("_held", "_holds", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._holds = False
        self._held = b""

    def hold(self) -> None:
        """Keep the next piece. To be called where another one follows at once, though it may be empty."""
        self._holds = True

    def write(self, data: bytes) -> None:
        if self._holds:
            self._holds, self._held = False, data
            return
        if self._held:
            data, self._held = self._held + data, b""
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()
