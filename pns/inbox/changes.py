"""Changes: every write of PNS. Each change goes to the store first; then a hint goes to the bus.

A hint follows only a change of data, and never before the change is durable. The commit itself starts the
hint, so the hint follows also when the caller was cancelled meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from pns.contracts.announcements import CaughtUp
from pns.contracts.audiences import Publication, Reached, Stretch, Subscriber, TakenBack
from pns.contracts.bus import Bus
from pns.contracts.later import Delivered
from pns.contracts.store import EVERY_DEVICE, Appended, Committed, Marked, Place, State, Store, Submission
from pns.errors import (
    NotificationIdConflict,
    NotificationNotKept,
    Overloaded,
    StoreUnavailable,
    UnknownNotification,
)
from pns.model.answers import Marks
from pns.model.mark import Mark
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
        knowing: Callable[[Mapping[str, State]], AbstractContextManager[object]] = nullcontext,
        on_announced: Callable[[], object] | None = None,
        on_published: Callable[[], object] | None = None,
    ) -> None:
        """`terms`: the terms of the pushes of stored notifications; None where nothing is pushed.

        `knowing` is entered around the hint of an append, with the states that the commit left: this node
        need not read them.

        `on_seen` is called with a user's id when notifications of the user were marked or withdrawn.
        `on_announced` is called when every connected user misses an announcement. `on_published` is called
        when the spreader has something to spread, or to take back.
        """
        self._on_announced = on_announced
        self._on_published = on_published
        self._terms = terms
        self._on_seen = on_seen
        self._knowing = knowing
        self._store = store
        self._bus = bus
        self._metrics = metrics
        # Looking a label up costs as much as a request's decoding.
        store.announcements.begin(terms=terms, told=self._caught_up)
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

    async def marks(self, user_id: str, mark: Mark) -> Marks:
        """`mark`, with the unseen and the unread count afterwards. Raises NotificationNotKept when `up_to` is
        not kept.
        """
        try:
            marked = await self.mark(user_id, mark, counted=True)
        except UnknownNotification:
            raise NotificationNotKept from None
        return Marks(marked.changed, marked.unseen, marked.unread)

    async def mark_sent_seen(self, user_id: str, user_key: int, seqs: Sequence[int]) -> int:
        """Mark the notifications that a connection was sent; returns the number of changes."""
        return await self._store.mark_sent_seen(user_key, seqs, committed=self._told(user_id))

    async def mark_seen(self, user_id: str, notification_ids: Sequence[str]) -> int:
        return await self._store.mark_seen(user_id, notification_ids, committed=self._told(user_id))

    async def mark_seen_up_to(self, user_id: str, notification_id: str) -> int:
        return await self._store.mark_seen_up_to(user_id, notification_id, committed=self._told(user_id))

    async def mark_all_seen(self, user_id: str) -> int:
        return await self._store.mark_all_seen(user_id, committed=self._told(user_id))

    async def mark(
        self, user_id: str, mark: Mark, *, last: Place | None = None, counted: bool = False
    ) -> Marked:
        """Set or clear marks; see Store.mark. `on_seen` is called only if something was unseen before."""

        def marked(step: Marked | None) -> None:
            if step is None or step.changed:
                self._bus.signal([user_id])
            if self._on_seen is not None and (step is None or step.seen):
                self._on_seen(user_id)

        return await self._store.mark(user_id, mark, last=last, counted=counted, committed=marked)

    async def withdraw(self, user_id: str, notification_id: str, member: str | None = None) -> bool:
        """Take a notification back; returns whether the notification was still kept. With `member`, take the
        member out of the group that the id belongs to; returns whether the group had the member.
        """
        told = self._told(user_id)
        if member is None:
            return await self._store.withdraw(user_id, notification_id, committed=told)
        return await self._store.take_out(user_id, notification_id, member, committed=told)

    async def snooze(self, user_id: str, notification_id: str, until: int) -> None:
        """Let a notification of the user wait until `until`; see Later.snooze."""
        await self._store.later.snooze(user_id, notification_id, until, committed=self._told(user_id))

    async def deliver(self, *, limit: int, max_bytes: int) -> Delivered:
        """Deliver notifications whose time has come, then tell the users' devices. See Later.deliver."""
        return await self._store.later.deliver(
            limit=limit, max_bytes=max_bytes, terms=self._terms, committed=self._delivered
        )

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
        """Keep a notification for an audience, durable on return. The spreader spreads the notification from
        then on.
        """
        kept = await self._store.audiences.publish(publication)
        self._wake_spreader()
        return kept

    async def announce(self, publication: Publication) -> Publication:
        """Keep a broadcast, durable on return. Inboxes catch up later; see pns.contracts.announcements."""
        kept = await self._store.announcements.announce(publication)
        if kept.announcement is None:
            self._wake_spreader()
        elif self._on_announced is not None:
            self._on_announced()
        return kept

    async def reach(
        self,
        publication: Publication,
        users: Sequence[Subscriber],
        *,
        complete: bool,
        end: int | None = None,
        ahead: bool = False,
    ) -> Reached | None:
        """Take a step of a publication, then tell the users' devices. See Audiences.reach."""
        try:
            return await self._store.audiences.reach(
                publication,
                users,
                complete=complete,
                end=end,
                ahead=ahead,
                terms=self._terms,
                committed=partial(self._reached, users),
            )
        except (StoreUnavailable, Overloaded) as error:
            self._metrics.notifies.labels(error.code).inc()
            raise

    async def take_back(self, publication_id: str) -> Publication | None:
        """Let a publication reach nobody any more, durable on return. The spreader takes the publication back
        from then on.

        Returns None for an unknown publication.
        """
        kept = await self._store.audiences.take_back(publication_id)
        if kept is not None:
            self._wake_spreader()
        return kept

    async def take_from(self, publication: Publication, stretch: Stretch) -> bool:
        """Take a step of taking back, then tell the users' devices. See Audiences.take_from.

        Returns False when another node took the step.
        """
        told = partial(self._taken_from, stretch)
        return await self._store.audiences.take_from(publication, stretch, committed=told) is not None

    async def expire(self, limit: int) -> int:
        """Remove expired notifications, at most `limit`; returns the number of users concerned."""
        return len(await self._store.expire(limit, committed=self._expired))

    async def prune(self, *, seen_before: int | None, limit: int) -> int:
        """Remove what is not needed any more, at most `limit` rows; see Store.prune."""
        return await self._store.prune(seen_before=seen_before, limit=limit, pruned=self._bus.signal)

    def _wake_spreader(self) -> None:
        if self._on_published is not None:
            self._on_published()

    async def _unseen(self, user_id: str) -> int:
        return (await self._store.states([user_id]))[user_id].unseen

    def _stored(self, submissions: Sequence[Submission], appended: Appended | None) -> None:
        if appended is None:
            self._bus.signal({submission.user_id for submission in submissions})
            return
        (self._created if appended.created else self._known).inc()
        self._metrics.notifications_stored.inc(appended.created - appended.waiting)
        if appended.changed:
            with self._knowing(appended.changed):
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

    def _caught_up(self, user_ids: Collection[str], done: CaughtUp | None) -> None:
        if done is None:
            self._bus.signal(user_ids)
            return
        self._metrics.notifications_stored.inc(done.created)
        if done.changed:
            with self._knowing(done.changed):
                self._bus.signal(done.changed)

    def _delivered(self, delivered: Delivered | None) -> None:
        if delivered is None:
            return
        self._metrics.notifications_stored.inc(delivered.stored)
        if delivered.changed:
            self._bus.signal(delivered.changed)

    def _taken_from(self, stretch: Stretch, taken: TakenBack | None) -> None:
        changed = {user.user_id for user in stretch.users} if taken is None else taken.changed
        if taken is not None:
            self._metrics.notifications_taken_back.inc(taken.notifications)
        if changed:
            self._bus.signal(changed)
        if self._on_seen is not None:
            for user_id in changed:
                self._on_seen(user_id)

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
