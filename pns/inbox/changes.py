"""Changes: every write of PNS. Each change goes to the store first; then a hint goes to the bus.

A hint follows only a change of data, and never before the change is durable. The commit itself starts the
hint, so the hint follows also when the caller was cancelled meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pns.contracts.audiences import Publication, Reached, Subscriber
from pns.contracts.bus import Bus
from pns.contracts.store import EVERY_DEVICE, Appended, Committed, Store, Submission
from pns.errors import NotificationIdConflict, Overloaded, StoreUnavailable
from pns.model.push import PushSchedule
from pns.runtime.metrics import Metrics


class Changes:
    """Writes to the store and signals the bus. Methods raise the store's errors. After an error nothing was
    changed, unless the error says that the outcome is unknown.

    The change of a cancelled caller is made and told, or neither. A change of unknown outcome is told.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        metrics: Metrics,
        *,
        terms: PushSchedule | None = None,
        on_seen: Callable[[str], None] | None = None,
    ) -> None:
        """`terms`: the terms of the pushes of stored notifications; None where nothing is pushed.

        `on_seen` is called with a user's id when notifications of the user were marked or withdrawn.
        """
        self._terms = terms
        self._on_seen = on_seen
        self._store = store
        self._bus = bus
        self._metrics = metrics
        # Looking a label up costs as much as a request's decoding.
        self._created, self._known = (metrics.notifies.labels(outcome) for outcome in ("created", "known"))

    async def notify(self, submissions: Sequence[Submission]) -> Appended:
        """Store all of `submissions` durably, or nothing; then tell the users' devices."""
        stored = partial(self._stored, submissions)
        try:
            return await self._store.append(submissions, self._terms, committed=stored)
        except (NotificationIdConflict, StoreUnavailable, Overloaded) as error:
            self._metrics.notifies.labels(error.code).inc()
            raise

    async def seen(self, user_id: str, notification_ids: Sequence[str] | None = None) -> int:
        """Mark these notifications seen, or all unseen ones; returns the unseen count afterwards."""
        if notification_ids is None:
            await self.mark_all_seen(user_id)
        else:
            await self.mark_seen(user_id, notification_ids)
        return await self._unseen(user_id)

    async def mark_sent_seen(self, user_id: str, user_key: int, seqs: Sequence[int]) -> int:
        """Mark the notifications that a connection was sent; returns the number of changes."""
        return await self._store.mark_sent_seen(user_key, seqs, committed=self._told(user_id))

    async def mark_seen(self, user_id: str, notification_ids: Sequence[str]) -> int:
        return await self._store.mark_seen(user_id, notification_ids, committed=self._told(user_id))

    async def mark_seen_up_to(self, user_id: str, notification_id: str) -> int:
        return await self._store.mark_seen_up_to(user_id, notification_id, committed=self._told(user_id))

    async def mark_all_seen(self, user_id: str) -> int:
        return await self._store.mark_all_seen(user_id, committed=self._told(user_id))

    async def withdraw(self, user_id: str, notification_id: str) -> bool:
        """Take a notification back; returns whether the notification was still kept."""
        return await self._store.withdraw(user_id, notification_id, committed=self._told(user_id))

    async def revoke(self, user_id: str, device_id: str = EVERY_DEVICE) -> None:
        """End the user's connections, or one device's, on every node; older logins no longer count."""
        await self._store.revoke(user_id, device_id, committed=lambda _: self._bus.signal([user_id]))

    async def erase(self, user_id: str, *, committed: Committed[int] | None = None) -> None:
        """End the user's connections and remove everything of them. `committed`: see Store.erase."""

        def gone(user_key: int | None) -> None:
            self._bus.signal([user_id])
            if committed is not None:
                committed(user_key)

        await self._store.erase(user_id, committed=gone)

    async def publish(self, publication: Publication) -> Publication:
        """Keep a notification for an audience, durable on return. The spreader spreads the notification
        later.
        """
        return await self._store.audiences.publish(publication)

    async def reach(self, publication: Publication, users: Sequence[Subscriber], *, complete: bool) -> bool:
        """Take a step of a publication, then tell the users' devices. See Audiences.reach.

        Returns False when another node took the step.
        """
        try:
            reached = await self._store.audiences.reach(
                publication,
                users,
                complete=complete,
                terms=self._terms,
                committed=partial(self._reached, users),
            )
        except (StoreUnavailable, Overloaded) as error:
            self._metrics.notifies.labels(error.code).inc()
            raise
        return reached is not None

    async def expire(self, limit: int) -> int:
        """Remove expired notifications, at most `limit`; returns the number of users concerned."""
        return len(await self._store.expire(limit, committed=self._expired))

    async def _unseen(self, user_id: str) -> int:
        return (await self._store.states([user_id]))[user_id].unseen

    def _stored(self, submissions: Sequence[Submission], appended: Appended | None) -> None:
        if appended is None:
            self._bus.signal({submission.user_id for submission in submissions})
            return
        (self._created if appended.created else self._known).inc()
        self._metrics.notifications_stored.inc(appended.created)
        if appended.changed:
            self._bus.signal(appended.changed)

    def _reached(self, users: Sequence[Subscriber], reached: Reached | None) -> None:
        if reached is None:
            # Unknown, or another node's step: a hint too many costs one read.
            self._bus.signal({user.user_id for user in users})
            return
        if users:
            (self._created if reached.created else self._known).inc()
            self._metrics.notifications_stored.inc(reached.created)
        if reached.changed:
            self._bus.signal(reached.changed)

    def _told(self, user_id: str) -> Committed[int]:
        def changed(rows: int | None) -> None:
            if rows is None or rows:
                self._bus.signal([user_id])
                if self._on_seen is not None:
                    self._on_seen(user_id)

        return changed

    def _expired(self, users: frozenset[str] | None) -> None:
        if users:
            self._bus.signal(users)
