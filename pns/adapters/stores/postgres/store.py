"""The store in a PostgreSQL database, in a schema of its own: the Store contract of pns/contracts/store.py
on asyncpg.

One connection writes, behind the group commit; a few read small things; a few read pages, so that a large
page never holds a count up. With webhooks, one more connection writes what becomes of events, behind a group
commit of its own: no notify waits for a claim. Statements stand in the .sql files beside this module, and run
from batch.py, append.py, writes.py and reads.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar, cast

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.appends import Append
from pns.adapters.stores.drafts import drafts, size
from pns.adapters.stores.group_commit import MARKED_AT_ONCE, REMOVED_AT_ONCE, SMALL_WRITE, GroupCommit
from pns.adapters.stores.marks import Step, mark_in_steps
from pns.adapters.stores.pages import Kind
from pns.adapters.stores.postgres import groups, marks, reads, writes
from pns.adapters.stores.postgres.acts import PostgresActs
from pns.adapters.stores.postgres.announcements import PostgresAnnouncements
from pns.adapters.stores.postgres.audiences import PostgresAudiences
from pns.adapters.stores.postgres.batch import Request, commit
from pns.adapters.stores.postgres.connection import PATIENCE_SECONDS, PostgresConnections
from pns.adapters.stores.postgres.later import PostgresLater
from pns.adapters.stores.postgres.migrate import migrate
from pns.adapters.stores.postgres.outbox import PostgresOutbox
from pns.adapters.stores.postgres.place import place_in
from pns.adapters.stores.postgres.preferences import Foresight, PostgresCategories
from pns.adapters.stores.postgres.rows import Session
from pns.adapters.stores.postgres.timeline import PostgresTimeline
from pns.adapters.stores.postgres.webhooks import PostgresWebhooks
from pns.adapters.stores.postgres.writes import MarkSent, Name, Write
from pns.adapters.stores.schema import require_whole
from pns.adapters.stores.secrets import (
    SESSION_SECRET,
    VAPID_KEY,
    WEBHOOK_SECRET,
    new_secret,
    new_vapid_key,
    new_webhook_secret,
)
from pns.contracts.store import (
    EVERY_DEVICE,
    Appended,
    Committed,
    CountsOf,
    Cursor,
    LivingNode,
    Marked,
    Place,
    Presence,
    State,
    StoreReport,
    Submission,
    Users,
    Visitor,
)
from pns.model.counts import Counts
from pns.model.mark import Mark
from pns.model.notification import Page
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

T = TypeVar("T")

SMALL_READERS = 3
PAGE_READERS = 2


class PostgresStore:
    """See pns.contracts.store.Store. `url` names an existing database; PNS makes the schema `pns` there.

    A call without an answer after `patience` seconds raises StoreUnavailable. So does a write when the
    connection breaks during the commit. The write may have been stored: repeat the request with its ids.
    `timelines`: whether the store notes what leaves no row; see pns.contracts.timeline.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        metrics: Metrics,
        max_waiting_bytes: int = 64 * 2**20,
        patience: float = PATIENCE_SECONDS,
        webhook: WebhookTerms = NO_WEBHOOK,
        timelines: bool = True,
    ) -> None:
        """`webhook`: what the application is told, and when."""
        self._url = url
        self._webhook = webhook
        self._clock = clock
        self._noting = timelines
        self._patience = patience
        self._writer = PostgresConnections(url, most=1, patience=patience)
        self._small = PostgresConnections(url, most=SMALL_READERS, patience=patience)
        self._pages = PostgresConnections(url, most=PAGE_READERS, patience=patience)
        self._teller = PostgresConnections(url, most=1, patience=patience)

        def commits(connections: PostgresConnections) -> GroupCommit[Request]:
            work = partial(_commit, connections, Foresight())
            return GroupCommit(work, clock=clock, metrics=metrics, max_waiting_bytes=max_waiting_bytes)

        self._commits, self._tellings = commits(self._writer), commits(self._teller)
        small, pages, write = self._small.run, self._pages.run, self._write
        self.outbox = PostgresOutbox(small, write, report=pages, clock=clock, webhook=webhook)
        tell = self._tell if webhook.kinds else write
        self.webhooks = PostgresWebhooks(
            small,
            tell,
            report=pages,
            terms=webhook,
            clock=clock,
            noting=timelines,
            crowded=lambda: self._commits.is_busy,
        )
        self.announcements = PostgresAnnouncements(
            small, write, clock=clock, webhook=webhook, noting=timelines
        )
        self.audiences = PostgresAudiences(
            small, write, others=lambda: self._commits.shared, clock=clock, webhook=webhook, noting=timelines
        )
        self.categories = PostgresCategories(small, write)
        self.acts = PostgresActs(pages, write)
        self.later = PostgresLater(small, write, pages=pages, clock=clock, webhook=webhook, noting=timelines)
        self.timeline = PostgresTimeline(self._read_page, write)

    async def open(self) -> None:
        try:
            await asyncio.to_thread(migrate, self._url, connect_within=self._patience)
            for connections in (self._writer, self._small, self._pages):
                await connections.open()
            require_whole(await self._small.run(reads.copy_mark), place_in(self._url))
            self._commits.start()
            if self._webhook.kinds:
                await self._teller.open()
                self._tellings.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        async with AsyncExitStack() as last_first:  # each is closed, also after one that failed
            for connections in (self._pages, self._small, self._teller, self._writer):
                last_first.push_async_callback(connections.close)
            for commits in (self._tellings, self._commits):
                last_first.push_async_callback(commits.close)

    async def check(self) -> None:
        await self._small.run(reads.newest_revocation)
        if self._commits.trouble is not None:
            room = self._commits.needed
            await self._write(Write(partial(writes.probe, room=room)), size=max(SMALL_WRITE, room))

    async def report(self) -> StoreReport:
        beside = PostgresConnections(self._url, most=1, patience=self._patience)
        try:
            await beside.open()
            return await beside.run(partial(reads.report, place=place_in(self._url)))
        finally:
            await beside.close()

    # ── notifications ─────────────────────────────────────────────────────────────────────────────────

    async def append(
        self,
        submissions: Sequence[Submission],
        terms: PushSchedule | None = None,
        *,
        committed: Committed[Appended] | None = None,
    ) -> Appended:
        now = self._clock.now()
        wanted = drafts(submissions, now)
        append = Append(wanted, now, terms, self._webhook, self._noting)
        write = partial(self._commits.write, append, size=size(wanted), committed=committed)
        return cast(Appended, await self._levelled(write))

    async def unseen(self, user_id: str, *, limit: int, max_bytes: int, category: str | None = None) -> Page:
        cursor = Cursor(limit=limit, max_bytes=max_bytes, category=category)
        return await self._page(user_id, cursor, "unseen")

    async def seen(self, user_id: str, cursor: Cursor) -> Page:
        return await self._page(user_id, cursor, "seen")

    async def inbox(self, user_id: str, cursor: Cursor) -> Page:
        return await self._page(user_id, cursor, "inbox")

    async def place(self, user_id: str, notification_id: str) -> Place:
        place = partial(reads.place_of, user_id=user_id, notification_id=notification_id)
        return await self._levelled(partial(self._small.run, place))

    async def mark_sent_seen(
        self, user_key: int, seqs: Sequence[int], *, committed: Committed[int] | None = None
    ) -> int:
        mark = MarkSent(user_key, seqs, self._clock.now(), self._webhook)
        return cast(int, await self._commits.write(mark, size=SMALL_WRITE, committed=committed))

    async def mark_seen(
        self, user_id: str, notification_ids: Sequence[str], *, committed: Committed[int] | None = None
    ) -> int:
        mark = partial(
            writes.mark_ids,
            user_id=user_id,
            notification_ids=notification_ids,
            webhook=self._webhook,
            now=self._clock.now(),
        )
        return await self._write(Write(mark, user_ids=(user_id,), level=True), committed=committed)

    async def mark_seen_up_to(
        self, user_id: str, notification_id: str, *, committed: Committed[int] | None = None
    ) -> int:
        return await self._mark_oldest(await self.place(user_id, notification_id), committed)

    async def mark_all_seen(self, user_id: str, *, committed: Committed[int] | None = None) -> int:
        place = await self._last_place(user_id)
        return 0 if place is None else await self._mark_oldest(place, committed)

    async def _last_place(self, user_id: str, notification_id: str | None = None) -> Place | None:
        """The place of the notification, or the user's newest. Raises UnknownNotification."""
        if notification_id is None:
            return cast(Place | None, await self._write(Write(partial(writes.last_place, user_id=user_id))))
        return await self.place(user_id, notification_id)

    async def _mark_oldest(self, place: Place, committed: Committed[int] | None) -> int:
        mark = partial(
            writes.mark_oldest,
            user_key=place.user_key,
            last_seq=place.seq,
            limit=MARKED_AT_ONCE,
            webhook=self._webhook,
            now=self._clock.now(),
        )
        return await self._repeat(Write(mark, user_keys=(place.user_key,)), MARKED_AT_ONCE, committed)

    async def mark(
        self,
        user_id: str,
        mark: Mark,
        *,
        last: Place | None = None,
        counted: bool = False,
        committed: Committed[Marked] | None = None,
    ) -> Marked:
        step = Step(mark.as_, self._clock.now(), counted, self._webhook)
        if mark.ids is not None:
            by_ids = partial(marks.mark_ids, user_id=user_id, ids=mark.ids, step=step)
            return await self._write(Write(by_ids, user_ids=(user_id,), level=True), committed=committed)
        end = last or await self._last_place(user_id, mark.up_to)
        if end is None:
            return Marked()

        async def find(name: str, where: dict[str, object]) -> list[int]:
            return await self._pages.run(partial(marks.places, name=name, where=where))

        async def write(seqs: Sequence[int], step: Step) -> Marked:
            at = partial(marks.mark_places, user_key=end.user_key, seqs=seqs, step=step)
            marking = Write(at, user_keys=(end.user_key,))
            return await self._write(marking, committed=committed, apart=len(seqs) == MARKED_AT_ONCE)

        return await mark_in_steps(mark, end, find=find, write=write, step=step)

    async def withdraw(
        self, user_id: str, notification_id: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        remove = partial(
            writes.withdraw, user_id=user_id, notification_id=notification_id, noted_at=self._noted_at
        )
        return await self._write(Write(remove, user_ids=(user_id,), level=True), committed=committed)

    async def take_out(
        self, user_id: str, notification_id: str, member: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        take_out = partial(
            groups.take_out,
            user_id=user_id,
            notification_id=notification_id,
            member=member,
            noted_at=self._noted_at,
        )
        return await self._write(Write(take_out, user_ids=(user_id,), level=True), committed=committed)

    @property
    def _noted_at(self) -> int | None:
        return self._clock.now() if self._noting else None

    # ── users ─────────────────────────────────────────────────────────────────────────────────────────

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        read = partial(reads.states, user_ids=tuple(user_ids))
        return await self._levelled(partial(self._small.run, read))

    async def counts(self, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
        read = partial(reads.counts, asked=tuple(asked))
        return await self._levelled(partial(self._small.run, read))

    async def revoke(
        self, user_id: str, device_id: str = EVERY_DEVICE, *, committed: Committed[int] | None = None
    ) -> int:
        revoke = partial(writes.revoke, user_id=user_id, device_id=device_id, now=self._clock.now())
        return await self._write(Write(revoke), committed=committed)

    async def newest_revocation(self) -> int:
        return await self._small.run(reads.newest_revocation)

    async def erase(self, user_id: str, *, committed: Committed[int] | None = None) -> None:
        erase = partial(writes.erase_user, user_id=user_id, now=self._clock.now())
        gone = Write(erase, user_ids=(user_id,), erases=True)
        user_key = await self._write(gone, committed=committed)
        if user_key is not None:
            remove = partial(writes.remove_erased, user_key=user_key, limit=REMOVED_AT_ONCE)
            await self._repeat(Write(remove), REMOVED_AT_ONCE)

    async def use_ticket(self, ticket_id: str, expires_at: int) -> bool:
        use = partial(writes.use_ticket, ticket_id=ticket_id, expires_at=expires_at)
        return await self._write(Write(use, names=(Name(ticket_id),)))

    # ── who is connected where ────────────────────────────────────────────────────────────────────────

    async def renew_lease(
        self, node_id: str, until: int, presences: Sequence[Presence], *, visitors: Sequence[Visitor] = ()
    ) -> None:
        now, came = self._clock.now(), tuple(visitors)
        held = Write(
            partial(
                writes.renew_lease,
                node_id=node_id,
                until=until,
                presences=tuple(presences),
                visitors=came,
                now=now,
            ),
            find=partial(writes.long_away, visitors=came, now=now) if came else None,
            find_new=partial(writes.newcomers, visitors=came) if came else None,
        )
        await self._write(held, size=SMALL_WRITE * (len(presences) + len(visitors) + 1))

    async def end_lease(self, node_id: str) -> None:
        await self._write(Write(partial(writes.end_lease, node_id=node_id)))

    async def presences(self, user_id: str, *, except_node: str) -> list[Presence]:
        now = self._clock.now()
        return await self._small.run(
            partial(reads.presences, user_id=user_id, except_node=except_node, now=now)
        )

    async def fleet(self) -> list[LivingNode]:
        return await self._small.run(partial(reads.fleet, now=self._clock.now()))

    # ── upkeep ────────────────────────────────────────────────────────────────────────────────────────

    async def expire(
        self, limit: int, *, committed: Committed[frozenset[str]] | None = None
    ) -> frozenset[str]:
        now = self._clock.now()
        if not await self._small.run(partial(reads.any_expired, now=now)):
            return frozenset()
        find = partial(writes.expired, limit=limit, now=now)
        expire = Write(partial(writes.expire, noting=self._noting), find=find)
        return await self._write(expire, committed=committed)

    async def prune(
        self,
        *,
        seen_before: int | None,
        limit: int,
        pruned: Users | None = None,
    ) -> int:
        def told(done: writes.Pruned | None) -> None:
            if pruned is not None and done is not None and done.users:
                pruned(done.users)

        removed = await self._write(Write(partial(writes.prune_erased, limit=limit)))
        now = self._clock.now()
        prune = partial(writes.prune, seen_before=seen_before, limit=limit - removed, now=now)
        return removed + (await self._write(Write(prune, last=True), committed=told)).removed

    async def secret(self) -> str:
        return await self._shared(SESSION_SECRET, new_secret)

    async def vapid_key(self) -> str:
        return await self._shared(VAPID_KEY, new_vapid_key)

    async def webhook_secret(self) -> str:
        return await self._shared(WEBHOOK_SECRET, new_webhook_secret)

    async def _shared(self, name: str, new: Callable[[], str]) -> str:
        kept = await self._small.run(partial(reads.secret, name=name))
        if kept is not None:
            return kept
        offer = partial(writes.offer_secret, name=name, value=new())
        return await self._write(Write(offer))

    async def foreign_changes(self) -> int:
        return 0  # PostgreSQL has no such number; several nodes on it need a bus

    # ── the ways in ───────────────────────────────────────────────────────────────────────────────────

    async def _page(self, user_id: str, cursor: Cursor, kind: Kind) -> Page:
        now = self._clock.now()
        read = partial(reads.page, user_id=user_id, cursor=cursor, kind=kind, now=now)
        return await self._read_page(read)

    async def _read_page(self, function: Callable[[Session], Coroutine[Any, Any, T]]) -> T:
        return await self._levelled(partial(self._pages.run, function))

    async def _levelled(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, as soon as the inboxes that the work depends on are level."""
        while True:
            try:
                return await work()
            except NotCaughtUp as behind:
                await self.announcements.catch_up(behind.user_ids)

    async def _write(
        self,
        write: Write[T],
        *,
        size: int = SMALL_WRITE,
        committed: Committed[T] | None = None,
        apart: bool = False,
    ) -> T:
        work = partial(self._commits.write, write, size=size, committed=committed, apart=apart)
        return cast(T, await self._levelled(work))

    async def _repeat(self, write: Write[int], at_once: int, committed: Committed[int] | None = None) -> int:
        """Write again and again, a commit each, until fewer than `at_once` rows were concerned."""
        total = 0
        while True:
            count = await self._write(write, committed=committed, apart=total > 0)
            total += count
            if count < at_once:
                return total

    async def _tell(self, write: Write[T], /, *, size: int = SMALL_WRITE, **more: Any) -> T:
        return cast(T, await self._tellings.write(write, size=size, **more))


async def _commit(
    connections: PostgresConnections, foresight: Foresight, requests: Sequence[Request]
) -> Sequence[object]:
    return await connections.run(partial(commit, requests=requests, foresight=foresight))
