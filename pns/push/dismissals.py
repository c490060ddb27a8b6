"""Tells devices what need not be shown any more: what was seen elsewhere, withdrawn or replaced.

Who marks says so (`seen`), which costs one read for a user whose devices show nothing. A slow look at all
that was accepted finds what was missed, after a crash for example.
"""

from __future__ import annotations

from pns.contracts.outbox import Outbox
from pns.runtime.clock import Clock

DISMISS_SECONDS = 1.0
LOOK_ROWS = 500
"""Accepted pushes that one look reads."""
LIFETIME = 4 * 3600 * 1_000_000
"""Microseconds for which such word is worth sending."""


class Dismissals:
    """Two ticks: `tell`, for users who were named, and `look`, for those who were not."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._users: set[str] = set()
        self._after = 0

    def seen(self, user_id: str) -> None:
        """Something of this user was seen or removed."""
        self._users.add(user_id)

    async def tell(self) -> None:
        """Enqueue word for the users who were named since the last time."""
        users, self._users = self._users, set()
        try:
            for user_id in list(users):
                if not await self._dismiss(user_id):  # otherwise there may be more than was told at once
                    users.discard(user_id)
        finally:
            self._users |= users

    async def look(self) -> None:
        """Look at the next of all that was accepted."""
        users, self._after = await self._outbox.stale(self._after, LOOK_ROWS)
        for user_id in users:
            await self._dismiss(user_id)

    async def _dismiss(self, user_id: str) -> int:
        return await self._outbox.dismiss(user_id, self._clock.now() + LIFETIME)
