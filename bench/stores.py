"""The stores that PNS's own is compared with: one that keeps only counts, in memory, and one without group
commit. Both keep what the comparison needs of the Store contract, and promise nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pns.adapters.stores.group_commit import GroupCommit
from pns.adapters.stores.sqlite.batch import Operation
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.announcements import Announcements, Told
from pns.contracts.audiences import Audiences, Publication
from pns.contracts.outbox import Outbox
from pns.contracts.store import Appended, Committed, Presence, State, Store, Submission, Users
from pns.model.notification import new_notification_id
from pns.model.push import PushSchedule
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics


class MemoryStore(Store):
    """Accepts everything at once and counts it: the limit of what any store could reach.

    What a node asks in the background is answered with nothing; what nobody asks here is not there.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._nothing = NothingToPush()  # type: ignore[abstract]  # what is missing is never asked here
        self._unseen: Counter[str] = Counter()

    @property
    def audiences(self) -> Audiences:
        return self._nothing

    @property
    def announcements(self) -> Announcements:
        return NothingAnnounced()  # type: ignore[abstract]  # likewise

    @property
    def outbox(self) -> Outbox:
        return self._nothing

    async def append(
        self,
        submissions: Sequence[Submission],
        terms: PushSchedule | None = None,
        *,
        committed: Committed[Appended] | None = None,
    ) -> Appended:
        now = self._clock.now()
        ids: list[str] = []
        for submission in submissions:
            self._unseen[submission.user_id] += len(submission.notifications)
            ids.extend(kept.notification_id or new_notification_id(now) for kept in submission.notifications)
        changed = await self.states([submission.user_id for submission in submissions])
        appended = Appended(ids, len(ids), changed)
        if committed is not None:
            committed(appended)
        return appended

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        return {user_id: State(1, self._unseen[user_id], self._unseen[user_id]) for user_id in user_ids}

    async def newest_revocation(self) -> int:
        return 0

    async def presences(self, user_id: str, *, except_node: str) -> list[Presence]:
        return []

    async def expire(
        self, limit: int, *, committed: Committed[frozenset[str]] | None = None
    ) -> frozenset[str]:
        return frozenset()

    async def prune(
        self,
        *,
        seen_before: int | None,
        limit: int,
        pruned: Users | None = None,
    ) -> int:
        return 0

    async def secret(self) -> str:
        return "the secret of a store that forgets"

    async def foreign_changes(self) -> int:
        return 0


class NothingToPush(Outbox, Audiences):
    """What the loops of push ask of a node without gateways."""

    async def next_due(self) -> Mapping[str, int]:
        return {}

    async def due_publication(self, until: int) -> Publication | None:
        return None

    async def prune_pushes(self, *, settled_before: int, limit: int) -> int:
        return 0

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        return 0


class NothingAnnounced(Announcements):
    """The same of announcements."""

    def begin(self, *, terms: PushSchedule | None, told: Told) -> None:
        pass

    async def newest(self) -> int:
        return 0

    async def due(self, until: int) -> Publication | None:
        return None

    async def beside_older(self) -> bool:
        return False

    async def prune(self, limit: int) -> int:
        return 0


class OneByOne(GroupCommit[Operation]):
    """A commit for each write: what a store does that knows nothing of its neighbours."""

    async def _settle(self, batch: Sequence[Any]) -> bool:
        return all([await super(OneByOne, self)._settle([write]) for write in batch])


def one_by_one(store: Store, *, clock: Clock, metrics: Metrics) -> Store:
    """`store` with its group commit turned off. Must be called before it is opened."""
    assert isinstance(store, SQLiteStore)
    store._commits = OneByOne(store._commit, clock=clock, metrics=metrics, max_waiting_bytes=64 * 2**20)
    return store
