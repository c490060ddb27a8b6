"""The bus of a single node, and of several processes on the same SQLite file.

Within the process a hint is a function call. Other processes cannot call. PNS asks the store several times a
second whether another process has written. The hint is then "anybody may have changed".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from pns.contracts.bus import Listener
from pns.errors import Overloaded, StoreUnavailable
from pns.runtime.clock import Clock
from pns.runtime.looper import Looper
from pns.runtime.metrics import Metrics

WATCH_SECONDS = 0.2


class LocalBus:
    """`foreign_changes` is Store.foreign_changes, or None where no other process can write."""

    def __init__(
        self, foreign_changes: Callable[[], Awaitable[int]] | None, *, clock: Clock, metrics: Metrics
    ) -> None:
        self._foreign_changes = foreign_changes
        self._listener: Listener | None = None
        self._last: int | None = None
        self._watch = Looper("watch", self._look, every=lambda: WATCH_SECONDS, clock=clock, metrics=metrics)

    async def start(self, listener: Listener) -> None:
        self._listener = listener
        if self._foreign_changes is not None:
            await self._look()
            self._watch.start()

    async def stop(self) -> None:
        await self._watch.stop()
        self._listener = None

    async def join(self, user_id: str) -> None:
        """Nothing to do: every hint is heard."""

    def leave(self, user_id: str) -> None:
        """Nothing to do."""

    def signal(self, user_ids: Collection[str]) -> None:
        if self._listener is not None:
            self._listener(user_ids)

    def status(self) -> str | None:
        return None

    async def _look(self) -> None:
        assert self._foreign_changes is not None
        try:
            changes = await self._foreign_changes()
        except (StoreUnavailable, Overloaded):
            return
        if self._last is not None and changes != self._last and self._listener is not None:
            self._listener(None)
        self._last = changes
