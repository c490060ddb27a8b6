"""The store in one SQLite file: the Store contract of pns/contracts/store.py on aiosqlite.

Three connections: one writes, behind the group commit; one reads small things; one reads pages, so that a
large page never holds a count up. Statements stand in the .sql files beside this module. The functions of
append.py, writes.py and reads.py run in the connections' threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.appends import Append
from pns.adapters.stores.drafts import drafts, size
from pns.adapters.stores.group_commit import (
    MARKED_AT_ONCE,
    REMOVED_AT_ONCE,
    SMALL_WRITE,
    GroupCommit,
)
from pns.adapters.stores.marks import Step, mark_in_steps
from pns.adapters.stores.pages import Kind
from pns.adapters.stores.schema import require_whole
from pns.adapters.stores.secrets import (
    SESSION_SECRET,
    VAPID_KEY,
    WEBHOOK_SECRET,
    new_secret,
    new_vapid_key,
    new_webhook_secret,
)
from pns.adapters.stores.sqlite import batch, groups, marks, reads, writes
from pns.adapters.stores.sqlite.acts import SQLiteActs
from pns.adapters.stores.sqlite.announcements import SQLiteAnnouncements
from pns.adapters.stores.sqlite.audiences import SQLiteAudiences
from pns.adapters.stores.sqlite.connection import SQLiteConnection
from pns.adapters.stores.sqlite.later import SQLiteLater
from pns.adapters.stores.sqlite.migrate import migrate
from pns.adapters.stores.sqlite.outbox import SQLiteOutbox
from pns.adapters.stores.sqlite.place import ROOM, doubt, free_bytes, require_folder
from pns.adapters.stores.sqlite.preferences import SQLiteCategories
from pns.adapters.stores.sqlite.timeline import SQLiteTimeline
from pns.adapters.stores.sqlite.webhooks import SQLiteWebhooks
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
from pns.errors import SettingsError
from pns.model.counts import Counts
from pns.model.mark import Mark
from pns.model.notification import Page
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

READS_AT_ONCE = 64
"""Small reads that share a hop to their connection's thread."""


class SQLiteStore:
    """See pns.contracts.store.Store. `path` is a file; its directory must exist, PNS makes the file.

    `timelines`: whether the store notes what leaves no row; see pns.contracts.timeline.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock,
        metrics: Metrics,
        max_waiting_bytes: int = 64 * 2**20,
        webhook: WebhookTerms = NO_WEBHOOK,
        timelines: bool = True,
    ) -> None:
        """`webhook`: what the application is told, and when."""
        if os.fspath(path) in ("", ":memory:"):
            raise SettingsError("PNS keeps notifications in a file: name one, as in sqlite:///pns.db.")
        self.path = Path(path)
        self._clock = clock
        self._webhook = webhook
        self._noting = timelines
        self._connections: list[SQLiteConnection] = []
        self._writer = SQLiteConnection(self.path, self._connections, looks=False)
        self._small = SQLiteConnection(self.path, self._connections, at_once=READS_AT_ONCE)
        self._pages = SQLiteConnection(self.path, self._connections)
        self._commits: GroupCommit[batch.Operation] = GroupCommit(
            self._commit, clock=clock, metrics=metrics, max_waiting_bytes=max_waiting_bytes
        )
        small, pages, write = self._small.run, self._pages.run, self._write
        self.outbox = SQLiteOutbox(small, write, report=pages, clock=clock, webhook=webhook)
        self.webhooks = SQLiteWebhooks(
            small,
            write,
            report=pages,
            terms=webhook,
            clock=clock,
            noting=timelines,
            crowded=lambda: self._commits.is_busy,
        )
        self.announcements = SQLiteAnnouncements(small, write, clock=clock, webhook=webhook, noting=timelines)
        self.audiences = SQLiteAudiences(
            small, write, others=lambda: self._commits.shared, clock=clock, webhook=webhook, noting=timelines
        )
        self.categories = SQLiteCategories(small, write)
        self.acts = SQLiteActs(pages, write)
        self.later = SQLiteLater(small, write, pages=pages, clock=clock, webhook=webhook, noting=timelines)
        self.timeline = SQLiteTimeline(self._read_page, write)

    async def open(self) -> None:
        if doubted := doubt(self.path):
            log.warning("%s", doubted)
        try:
            await asyncio.to_thread(migrate, self.path)
            for connection in self._connections:
                await connection.open()
            require_whole(await self._small.run(reads.copy_mark), str(self.path))
            self._commits.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        try:
            await self._commits.close()
        finally:
            for connection in self._connections:
                await connection.close()

    async def check(self) -> None:
        free = await self._small.run(self._read_a_little)
        if self._commits.trouble is not None or free < ROOM:
            room = max(self._commits.needed, ROOM if free < ROOM else 0)
            await self._write(partial(writes.probe, room=room), size=max(SMALL_WRITE, room))

    def _read_a_little(self, connection: sqlite3.Connection) -> int:
        """The free bytes on the disk, after a read."""
        reads.newest_revocation(connection)
        return free_bytes(self.path)

    async def report(self) -> StoreReport:
        require_folder(self.path)
        beside = SQLiteConnection(self.path, [])
        try:
            await beside.open()
            return await beside.run(partial(reads.report, path=self.path))
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
        now = self._clock.now()
        mark = partial(writes.mark_places, user_key=user_key, seqs=seqs, webhook=self._webhook, now=now)
        return await self._write(mark, committed=committed)

    async def mark_seen(
        self, user_id: str, notification_ids: Sequence[str], *, committed: Committed[int] | None = None
    ) -> int:
        now = self._clock.now()
        mark = partial(
            writes.mark_ids,
            user_id=user_id,
            notification_ids=notification_ids,
            webhook=self._webhook,
            now=now,
        )
        return await self._write(mark, committed=committed)

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
            return await self._write(partial(writes.last_place, user_id=user_id))
        return await self.place(user_id, notification_id)

    async def _mark_oldest(self, place: Place, committed: Committed[int] | None) -> int:
        now = self._clock.now()
        mark = partial(
            writes.mark_oldest,
            user_key=place.user_key,
            last_seq=place.seq,
            limit=MARKED_AT_ONCE,
            webhook=self._webhook,
            now=now,
        )
        return await self._repeat(mark, MARKED_AT_ONCE, committed)

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
            return await self._write(by_ids, committed=committed)
        end = last or await self._last_place(user_id, mark.up_to)
        if end is None:
            return Marked()

        async def find(name: str, where: dict[str, object]) -> list[int]:
            return await self._pages.run(partial(marks.places, name=name, where=where))

        async def write(seqs: Sequence[int], step: Step) -> Marked:
            at = partial(marks.mark_places, user_key=end.user_key, seqs=seqs, step=step)
            return await self._write(at, committed=committed, apart=len(seqs) == MARKED_AT_ONCE)

        return await mark_in_steps(mark, end, find=find, write=write, step=step)

    async def withdraw(
        self, user_id: str, notification_id: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        withdraw = partial(
            writes.withdraw, user_id=user_id, notification_id=notification_id, noted_at=self._noted_at
        )
        return await self._write(withdraw, committed=committed)

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
        return await self._write(take_out, committed=committed)

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
        now = self._clock.now()
        revoke = partial(writes.revoke, user_id=user_id, device_id=device_id, now=now)
        return await self._write(revoke, committed=committed)

    async def newest_revocation(self) -> int:
        return await self._small.run(reads.newest_revocation)

    async def erase(self, user_id: str, *, committed: Committed[int] | None = None) -> None:
        erase = partial(writes.erase_user, user_id=user_id, now=self._clock.now())
        user_key = await self._write(erase, committed=committed)
        if user_key is not None:
            remove = partial(writes.remove_erased, user_key=user_key, limit=REMOVED_AT_ONCE)
            await self._repeat(remove, REMOVED_AT_ONCE)

    async def use_ticket(self, ticket_id: str, expires_at: int) -> bool:
        return await self._write(partial(writes.use_ticket, ticket_id=ticket_id, expires_at=expires_at))

    # ── who is connected where ────────────────────────────────────────────────────────────────────────

    async def renew_lease(
        self, node_id: str, until: int, presences: Sequence[Presence], *, visitors: Sequence[Visitor] = ()
    ) -> None:
        held = partial(
            writes.renew_lease,
            node_id=node_id,
            until=until,
            presences=tuple(presences),
            visitors=tuple(visitors),
            now=self._clock.now(),
        )
        await self._write(held, size=SMALL_WRITE * (len(presences) + len(visitors) + 1))

    async def end_lease(self, node_id: str) -> None:
        await self._write(partial(writes.end_lease, node_id=node_id))

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
        expire = partial(writes.expire, limit=limit, now=now, noting=self._noting)
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

        prune = partial(writes.prune, seen_before=seen_before, limit=limit, now=self._clock.now())
        return (await self._write(prune, committed=told)).removed

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
        return await self._write(partial(writes.offer_secret, name=name, value=new()))

    async def foreign_changes(self) -> int:
        # the writer's connection: its own commits do not count, and it never looks during one
        version = await self._writer.run(reads.data_version)
        return self._writer.generation << 32 | version

    # ── the ways in ───────────────────────────────────────────────────────────────────────────────────

    async def _page(self, user_id: str, cursor: Cursor, kind: Kind) -> Page:
        now = self._clock.now()
        read = partial(reads.page, user_id=user_id, cursor=cursor, kind=kind, now=now)
        return await self._read_page(read)

    async def _read_page(self, function: Callable[[sqlite3.Connection], T]) -> T:
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
        operation: Callable[[sqlite3.Connection], T],
        *,
        size: int = SMALL_WRITE,
        committed: Committed[T] | None = None,
        apart: bool = False,
    ) -> T:
        write = partial(self._commits.write, operation, size=size, committed=committed, apart=apart)
        return cast(T, await self._levelled(write))

    async def _repeat(
        self,
        operation: Callable[[sqlite3.Connection], int],
        at_once: int,
        committed: Committed[int] | None = None,
    ) -> int:
        """Write again and again, a commit each, until fewer than `at_once` rows were concerned."""
        total = 0
        while True:
            count = await self._write(operation, committed=committed, apart=total > 0)
            total += count
            if count < at_once:
                return total

    async def _commit(self, operations: Sequence[batch.Operation]) -> Sequence[object]:
        return await self._writer.run(
            partial(batch.commit, operations=operations, check_file=self._writer.check_file)
        )
