"""An application's table, with a nudge from the application itself: no wait for the forwarder's next look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pns.compose import make_outgoing
from pns.contracts.outgoing import Backlog, Refusal, Row
from pns.runtime.clock import Clock, SystemClock

if TYPE_CHECKING:
    from pns.compose import Database


class Nudged:
    """An Outgoing on `database`, for `PNS(…, outgoing=…)`. Any thread may call `nudge`."""

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        self._outgoing = make_outgoing(database, clock=clock or SystemClock())
        self._wake: Callable[[], object] | None = None

    def nudge(self) -> None:
        """Rows may be visible. Nothing happens before `open` and after `close`."""
        wake = self._wake
        if wake is not None:
            with suppress(RuntimeError):  # the event loop has ended
                wake()

    async def open(self, nudge: Callable[[], None]) -> None:
        await self._outgoing.open(nudge)
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(nudge)

    async def close(self) -> None:
        self._wake = None
        await self._outgoing.close()

    async def claim(self, most: int) -> Sequence[Row]:
        return await self._outgoing.claim(most)

    async def settle(self, taken: Collection[Row], refused: Collection[Refusal]) -> None:
        await self._outgoing.settle(taken, refused)

    async def backlog(self) -> Backlog:
        return await self._outgoing.backlog()
