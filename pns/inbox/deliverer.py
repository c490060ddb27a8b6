"""Delivers pending notifications: a due one goes to its user's inbox, in bounded steps.

A step is one commit: notifications leave the waiting and enter the inboxes in the same transaction. A step
that was cut off is done again, by whichever node is alive.
"""

from __future__ import annotations

from pns.contracts.store import Store
from pns.inbox.changes import Changes
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

LOOK_SECONDS = 0.5
"""How late a delivery may begin."""
STEP_ROWS = 100
STEP_BYTES = 512 * 1024
"""The most notifications of one step, and bytes of their data. Other notifies wait for a step."""
PAUSE_SECONDS = 0.002
COUNT_SECONDS = 60.0


class Deliverer:
    """A tick delivers all due notifications."""

    def __init__(self, store: Store, changes: Changes, clock: Clock, *, metrics: Metrics) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._metrics = metrics
        self._next: int | None = None
        self._count_at = 0.0

    @property
    def seconds(self) -> float:
        """The time until the first notification is due, at most LOOK_SECONDS."""
        wait = LOOK_SECONDS if self._next is None else (self._next - self._clock.now()) / SECOND
        return wait if 0 < wait < LOOK_SECONDS else LOOK_SECONDS

    async def tick(self) -> None:
        """Deliver all due notifications, and count the pending ones once a minute. While nothing is due, a
        tick costs one read.
        """
        await self._deliver()
        if self._clock.monotonic() >= self._count_at:
            self._metrics.pending.set(await self._store.later.count())
            self._count_at = self._clock.monotonic() + COUNT_SECONDS

    async def _deliver(self) -> None:
        while await self._is_due():
            if not (await self._changes.deliver(limit=STEP_ROWS, max_bytes=STEP_BYTES)).taken:
                return  # another node is at work
            await self._clock.sleep(PAUSE_SECONDS)

    async def _is_due(self) -> bool:
        self._next, now = await self._store.later.next_delivery(), self._clock.now()
        overdue = 0 if self._next is None else max(0, now - self._next)
        self._metrics.pending_overdue_seconds.set(overdue / SECOND)
        return self._next is not None and self._next <= now
