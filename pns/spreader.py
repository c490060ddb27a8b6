"""Spreads publications: a notification for an audience goes to its users' inboxes, a bounded step at a time.

What was cut off is repeated by whoever comes next, and stores nothing twice: the notification has one id for
all. Between steps other notifies have their turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from pns.audience import Publication, Subscriber
from pns.clock import Clock
from pns.errors import NotificationIdConflict
from pns.publish import Publisher
from pns.store import Store, Submission

SPREAD_SECONDS = 0.5
"""How late a publication may begin."""
STEP_USERS = range(20, 101)
"""How many users a step may reach: fewer where the store is slow, as somebody else's notify waits for it."""
STEP_SECONDS = 0.005
"""About how long a step should take."""
STEP_BYTES = 512 * 1024
PAUSE_SECONDS = 0.002
TURN_SECONDS = 0.5
"""How long one publication is spread before the next: two commits, few beside those of its steps."""
LEASE_SECONDS = 30


class Spreader:
    """One tick spreads all that is due."""

    def __init__(self, store: Store, publisher: Publisher, clock: Clock) -> None:
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._limit = STEP_USERS[-1]

    async def tick(self) -> None:
        """Spread all that is due, for a turn each: a large publication holds up none that came after it."""
        until = self._until()
        while (publication := await self._store.audiences.due_publication(until)) is not None:
            await self._spread(publication, until)
            until = self._until()

    async def _spread(self, publication: Publication, until: int) -> None:
        """For a turn, then record how far it came; not past `until`, when somebody else goes on with it."""
        after, most, end = publication.after, _most_users(publication), self._clock.monotonic() + TURN_SECONDS
        complete, reached = False, 0
        while not complete and (not reached or self._clock.monotonic() < end):
            limit = min(self._limit, most)
            users = await self._store.audiences.subscribers(publication.audience, after=after, limit=limit)
            complete = len(users) < limit
            if self._clock.now() >= until:
                return
            if users:
                begin = self._clock.monotonic()
                await self._reach(publication, users)
                self._limit = _fitting(self._limit, self._clock.monotonic() - begin)
                after, reached = users[-1].user_key, reached + len(users)
                await self._clock.sleep(PAUSE_SECONDS)
        if self._clock.now() >= until:
            return
        await self._store.audiences.advance(
            publication.publication_id,
            after=after,
            reached=reached,
            until=self._clock.now(),
            complete=complete,
        )

    async def _reach(self, publication: Publication, users: Sequence[Subscriber]) -> None:
        """A user who has another notification of an id keeps that one, and gets the others."""
        notifications, origin = publication.notifications, publication.origin
        try:
            await self._publisher.notify(
                [Submission(u.user_id, notifications, origin, u.user_key) for u in users]
            )
        except NotificationIdConflict:
            if len(users) > 1:
                for user in users:
                    await self._reach(publication, [user])
            elif len(notifications) > 1:
                for notification in notifications:
                    await self._reach(replace(publication, notifications=(notification,)), users)

    def _until(self) -> int:
        return self._clock.now() + LEASE_SECONDS * 1_000_000


def _most_users(publication: Publication) -> int:
    return max(1, STEP_BYTES // len(msgspec.json.encode(publication.notifications)))


def _fitting(users: int, took: float) -> int:
    """How many users the next step should reach, when one of `users` took so many seconds."""
    wanted = users * 5 // 4 if took < STEP_SECONDS else users * 3 // 4
    return min(max(wanted, STEP_USERS[0]), STEP_USERS[-1])
