"""What the bare loops have in common: they ask without pause until they are stopped."""

from __future__ import annotations

import asyncio


class Endless(asyncio.Protocol):
    """One connection. `count` are the answers; a wrong one is an error of the whole measurement."""

    def __init__(self) -> None:
        self.count = 0
        self.going = True
        self.wrong: object = None
        self._ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.going:
            self.wrong = exc or "the connection was lost"
        self._ended.set_result(None)

    async def stop(self) -> None:
        """Return when the connection has ended. Raises RuntimeError if an answer was wrong."""
        self.going = False
        self.transport.close()
        await self._ended
        if self.wrong is not None:
            raise RuntimeError(f"an unexpected answer: {self.wrong!r}")
