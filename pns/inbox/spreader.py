"""Spreads publications: a notification for an audience goes to its users' inboxes, a bounded step at a time.

A step and its progress are one commit. So a step that was cut off, or took longer than its lease, is neither
lost nor done twice. Between steps other notifies have their turn, between turns other publications.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from pns.contracts.audiences import Publication
from pns.contracts.store import Store
from pns.inbox.changes import Changes
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock

SPREAD_SECONDS = 0.5
"""How late a publication may begin."""
STEP_USERS = range(20, 101)
"""How many users a step may reach: fewer where the store is slow, because other notifies wait for the step.
"""
STEP_SECONDS = 0.005
"""About how long a step should take."""
STEP_BYTES = 512 * 1024
STEP_ROWS = 500
"""Notifications that a step may store. A user gets all notifications of a publication at once, as of a
notify.
"""
PAUSE_SECONDS = 0.002
TURN_SECONDS = 0.5
"""How long a publication is spread before the next has its turn. A turn adds two commits to its steps'
commits.
"""
LEASE_SECONDS = 30


class Spreader:
    """A tick spreads all due publications."""

    def __init__(self, store: Store, changes: Changes, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._limit = STEP_USERS[-1]

    async def tick(self) -> None:
        """Spread all due publications, for a turn each: a large publication does not hold up later
        publications.
        """
        until = self._until()
        while (publication := await self._store.audiences.due_publication(until)) is not None:
            if not await self._spread(publication, until):
                await self._store.audiences.rest(publication.publication_id, lease=until)
            until = self._until()

    async def _spread(self, publication: Publication, until: int) -> bool:
        """Take steps for a turn, at least one, and none after `until`, when another node goes on.

        Returns whether the publication is complete.
        """
        most, end = _most_users(publication), self._clock.monotonic() + TURN_SECONDS
        while True:
            limit = min(self._limit, most)
            users = await self._store.audiences.subscribers(
                publication.audience, after=publication.after, limit=limit
            )
            complete = len(users) < limit
            if self._clock.now() >= until:
                return False
            begin = self._clock.monotonic()
            if not await self._changes.reach(publication, users, complete=complete):
                return False
            if users:
                self._limit = _fitting(self._limit, self._clock.monotonic() - begin)
                publication = replace(publication, after=users[-1].user_key)
                await self._clock.sleep(PAUSE_SECONDS)
            if complete or self._clock.monotonic() >= end:
                return complete

    def _until(self) -> int:
        return self._clock.now() + LEASE_SECONDS * SECOND


def _most_users(publication: Publication) -> int:
    notifications = publication.notifications
    return max(1, min(STEP_BYTES // len(msgspec.json.encode(notifications)), STEP_ROWS // len(notifications)))


def _fitting(users: int, took: float) -> int:
    """How many users the next step should reach, after a step of `users` took `took` seconds."""
    wanted = users * 5 // 4 if took < STEP_SECONDS else users * 3 // 4
    return min(max(wanted, STEP_USERS[0]), STEP_USERS[-1])
