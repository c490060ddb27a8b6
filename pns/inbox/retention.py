"""Retention: removes expired notifications, notifications seen long ago, old publications and old notes.

Retention never touches unseen notifications, except by the expiry that the application gave them. Each commit
is small, so other writes hardly wait.
"""

from __future__ import annotations

from pns.contracts.store import Store
from pns.inbox.changes import Changes
from pns.model.timestamp import DAY
from pns.runtime.clock import Clock
from pns.settings import Settings

BATCH = 500
PAUSE_SECONDS = 0.05
EXPIRE_SECONDS = 1.0
PRUNE_SECONDS = 60.0


class Pruner:
    """Two ticks: `expire`, every second, and `prune`, every minute."""

    def __init__(self, store: Store, changes: Changes, *, settings: Settings, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._seen_days = settings.retention.seen_days
        self._publication_days = settings.push.keep_days
        self._timeline_days = settings.timeline.keep_days
        self._clock = clock

    async def expire(self) -> None:
        """Remove the notifications that have expired. The same commits correct the counts."""
        while await self._changes.expire(BATCH):
            await self._clock.sleep(PAUSE_SECONDS)

    async def prune(self) -> None:
        """Remove what was seen longer than `retention.seen_days` ago, then old complete publications and
        the notes of timelines.
        """
        seen_before = self._before(self._seen_days) if self._seen_days else None
        while await self._changes.prune(seen_before=seen_before, limit=BATCH) >= BATCH:
            await self._clock.sleep(PAUSE_SECONDS)
        while await self._store.announcements.prune(BATCH) >= BATCH:
            await self._clock.sleep(PAUSE_SECONDS)
        await self._prune_publications(self._before(self._publication_days))
        await self._prune_notes(self._before(self._timeline_days))

    async def _prune_publications(self, ended_before: int) -> None:
        audiences = self._store.audiences
        while await audiences.prune_publications(ended_before=ended_before, limit=BATCH) >= BATCH:
            await self._clock.sleep(PAUSE_SECONDS)

    async def _prune_notes(self, noted_before: int) -> None:
        while await self._store.timeline.prune(noted_before=noted_before, limit=BATCH) >= BATCH:
            await self._clock.sleep(PAUSE_SECONDS)

    def _before(self, days: float) -> int:
        """The moment `days` ago, in microseconds since 1970."""
        return self._clock.now() - int(days * DAY)
