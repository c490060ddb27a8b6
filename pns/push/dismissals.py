"""Dismissal: devices hear which of their shown notifications were seen elsewhere, withdrawn or replaced.

Marking a notification wakes the dismissal of its pushes (`seen`). It costs one read for a user without shown
pushes. A slow look at all accepted pushes finds the rest, after a crash for example.
"""

from __future__ import annotations

from pns.contracts.outbox import Outbox
from pns.model.timestamp import HOUR
from pns.runtime.clock import Clock

DISMISS_SECONDS = 1.0
LOOK_ROWS = 500
"""Accepted pushes that one look reads."""
LIFETIME = 4 * HOUR
"""Microseconds for which a dismissal is worth sending."""


class Dismissals:
    """Two ticks: `dismiss` for the users named by `seen`, and `dismiss_missed` for all others."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._users: set[str] = set()
        self._after = 0

    def seen(self, user_id: str) -> None:
        """A notification of this user was seen or removed."""
        self._users.add(user_id)

    async def dismiss(self) -> None:
        """Enqueue dismissals for the users named since the last call."""
        users, self._users = self._users, set()
        try:
            for user_id in list(users):
                if not await self._dismiss(user_id):  # else one call may not have taken all
                    users.discard(user_id)
        finally:
            self._users |= users

    async def dismiss_missed(self) -> None:
        """Enqueue dismissals for the users of the next LOOK_ROWS accepted pushes."""
        users, self._after = await self._outbox.stale(self._after, LOOK_ROWS)
        for user_id in users:
            await self._dismiss(user_id)

    async def _dismiss(self, user_id: str) -> int:
        return await self._outbox.dismiss(user_id, self._clock.now() + LIFETIME)
