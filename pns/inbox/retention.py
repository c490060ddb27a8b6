"""Retention: removes what has expired and what was seen long ago, in small commits that hold nobody up.

Unseen notifications are never touched, except by the expiry that the application itself gave them.
"""

from __future__ import annotations

from pns.contracts.store import Store
from pns.inbox.changes import Publisher
from pns.runtime.clock import Clock
from pns.settings import RetentionSettings

BATCH = 500
PAUSE_SECONDS = 0.05
DAY = 86_400 * 1_000_000
EXPIRE_SECONDS = 1.0
PRUNE_SECONDS = 60.0


class Pruner:
    """Two ticks: `expire`, every second, and `prune`, every minute."""

    def __init__(
        self, store: Store, publisher: Publisher, retention: RetentionSettings, clock: Clock
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._retention = retention
        self._clock = clock

    async def expire(self) -> None:
        """Remove what has expired until now; the counts follow in the same commits."""
        while await self._publisher.expire(BATCH):
            await self._clock.sleep(PAUSE_SECONDS)

    async def prune(self) -> None:
        """Remove what nobody needs any more."""
        days = self._retention.seen_days
        seen_before = self._clock.now() - int(days * DAY) if days else None
        while await self._store.prune(seen_before=seen_before, limit=BATCH) >= BATCH:
            await self._clock.sleep(PAUSE_SECONDS)
