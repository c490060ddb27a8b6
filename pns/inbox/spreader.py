"""Spreads publications: a notification for an audience goes to its users' inboxes, a bounded step at a time.
Takes publications back by steps of the same kind.

A step and its progress are one commit. So a step that was cut off, or took longer than its lease, is neither
lost nor done twice. Between steps other notifies have their turn, between turns other publications.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from pns.contracts.audiences import EVERYBODY, Publication, Stretch
from pns.contracts.store import Store
from pns.inbox.changes import Changes
from pns.inbox.pace import Attentive, Pace
from pns.model.timestamp import SECOND
from pns.runtime.clock import Clock

SPREAD_SECONDS = 0.5
"""How late another node's publication may begin. One of this node wakes the spreader."""
STEP_USERS = range(20, 101)
"""How many users a step may reach: fewer where the store is slow, because other notifies wait for the step.
"""
COPY_USERS = range(20, 2_001)
"""The same for the subscribers of a topic or a bucket, most of whom get the same rows in sets."""
AHEAD_USERS = 5_000
"""Connected devices whose users are reached before all others."""
STEP_BYTES = 512 * 1024
STEP_ROWS = 500
"""Notifications that a step may store. A user gets all notifications of a publication at once, as of a
notify.
"""
COPY_ROWS = 2_000
"""The same for subscribers."""
PAUSE_SECONDS = 0.002
"""How long others have the store to themselves between two steps, while others write."""
TURN_SECONDS = 0.5
"""How long a publication is spread before the next has its turn. A turn adds two commits to its steps'
commits.
"""
LEASE_SECONDS = 30


Ask = Callable[[Publication, int], Awaitable[Stretch]]
"""The next users of a publication, at most so many."""


class Taken(NamedTuple):
    """A step that was taken: the publication after the step, and how many users the step reached."""

    publication: Publication
    users: int
    complete: bool


Take = Callable[[Publication, Stretch], Awaitable[Taken | None]]
"""Takes a step, or a part of it; returns None when another node took the step."""


class Work(NamedTuple):
    """A kind of work on publications. `rows`: how many notifications a step may store or take."""

    due: Callable[[int], Awaitable[Publication | None]]
    ask: Ask
    take: Take
    pace: Pace
    rows: int = STEP_ROWS


class Spreader:
    """A tick spreads all due publications, and takes back what is to be taken back."""

    def __init__(
        self, store: Store, changes: Changes, clock: Clock, *, copy_users: range = COPY_USERS
    ) -> None:
        self._audiences = store.audiences
        self._announcements = store.announcements
        self._changes = changes
        self._clock = clock
        self._steady = Pace(STEP_USERS)
        self._attentive = Attentive(copy_users, others=lambda: self._audiences.others, clock=clock)
        self._levelled = 0

    async def tick(self) -> None:
        """Give each due publication a turn, until none is due: a large publication does not hold up later
        publications. Spreading and taking back have a turn each.
        """
        steady, attentive, audiences = self._steady, self._attentive, self._audiences
        works = (
            Work(self._announcements.due, self._waiting, self._catch_up, steady),
            Work(audiences.due_publication, self._subscribers, self._reach, attentive, COPY_ROWS),
            Work(audiences.due_seen, self._seen, self._reach, attentive, COPY_ROWS),
            Work(audiences.due_taking_back, self._holders, self._take_from, steady),
        )
        while any([await self._work(work) for work in works]):
            pass
        if await self._announcements.beside_older():
            await self._level_all()
        else:
            self._levelled = 0

    async def _work(self, work: Work) -> bool:
        """Lease a publication for a turn. Returns whether one was due."""
        until = self._clock.now() + LEASE_SECONDS * SECOND
        publication = await work.due(until)
        if publication is not None and not await self._turn(publication, until, work):
            await self._audiences.rest(publication.publication_id, lease=until)
        return publication is not None

    async def _turn(self, publication: Publication, until: int, work: Work) -> bool:
        """Take steps for a turn, at least one, and none after `until`, when another node goes on.

        Returns whether the publication is complete.
        """
        pace, end = work.pace, self._clock.monotonic() + TURN_SECONDS
        most = _most_users(publication, work.rows)
        pace.begin(alone=await self._audiences.alone())
        while True:
            asked = await work.ask(publication, min(pace.users, most))
            if self._clock.now() >= until:
                return False
            begin = self._clock.monotonic()
            taken = await work.take(publication, asked)
            if taken is None:
                return False
            if taken.users:
                pace.note(taken.users, self._clock.monotonic() - begin)
            went_ahead = len(taken.publication.ahead) > len(publication.ahead)
            publication = taken.publication
            if taken.complete:
                return True
            if pace.busy and not went_ahead:
                await self._clock.sleep(PAUSE_SECONDS)
            if self._clock.monotonic() >= end:
                return False

    async def _subscribers(self, publication: Publication, limit: int) -> Stretch:
        """The connected users ahead, then all by their keys, without those who were reached ahead."""
        after, audience = publication.after, publication.audience
        if not after and audience != EVERYBODY and not await self._announcements.beside_older():
            connected = await self._audiences.connected(publication, limit=AHEAD_USERS)
            if connected:
                return Stretch(connected[:limit], after, complete=False)
        found = await self._audiences.subscribers(audience, after=after, limit=limit)
        ahead = {*publication.ahead}
        users = [user for user in found if user.user_key not in ahead] if ahead else found
        return Stretch(users, found[-1].user_key if found else after, complete=len(found) < limit)

    async def _reach(self, publication: Publication, stretch: Stretch) -> Taken | None:
        users, complete = stretch.users, stretch.complete
        ahead = bool(users) and stretch.end == publication.after
        reached = await self._changes.reach(
            publication, users, complete=complete, end=stretch.end, ahead=ahead
        )
        if reached is None:
            return None
        now_ahead = (user.user_key for user in users[: reached.users]) if ahead else ()
        moved = replace(publication, after=reached.end, ahead=(*publication.ahead, *now_ahead))
        return Taken(moved, reached.users, reached.complete)

    async def _take_from(self, publication: Publication, stretch: Stretch) -> Taken | None:
        taken = await self._changes.take_from(publication, stretch)
        return _moved(publication, stretch) if taken else None

    async def _waiting(self, publication: Publication, limit: int) -> Stretch:
        return await self._announcements.next_users(publication, limit=limit)

    async def _catch_up(self, publication: Publication, stretch: Stretch) -> Taken | None:
        await self._announcements.catch_up([user.user_id for user in stretch.users])
        advanced = await self._announcements.advance(publication, stretch)
        return _moved(publication, stretch) if advanced else None

    async def _level_all(self) -> None:
        """Make inboxes level, for a turn: a node that knows no announcements may read any of them. Connected
        users come first.
        """
        end = self._clock.monotonic() + TURN_SECONDS
        while (connected := await self._announcements.connected_behind(STEP_USERS[-1])).users:
            await self._announcements.catch_up([user.user_id for user in connected.users])
        complete = False
        while not complete and self._clock.monotonic() < end:
            stretch = await self._announcements.behind(self._levelled, limit=STEP_USERS[-1])
            await self._announcements.catch_up([user.user_id for user in stretch.users])
            self._levelled, complete = stretch.end, stretch.complete
            await self._clock.sleep(PAUSE_SECONDS)

    async def _seen(self, publication: Publication, limit: int) -> Stretch:
        if publication.seen_since is None:
            return await self._subscribers(publication, limit)
        return await self._audiences.seen_users(publication, limit=limit)

    async def _holders(self, publication: Publication, limit: int) -> Stretch:
        return await self._audiences.holders(publication, limit=limit)


def _moved(publication: Publication, stretch: Stretch) -> Taken:
    return Taken(replace(publication, after=stretch.end), len(stretch.users), stretch.complete)


def _most_users(publication: Publication, rows: int) -> int:
    notifications = publication.notifications
    return max(1, min(STEP_BYTES // len(msgspec.json.encode(notifications)), rows // len(notifications)))
