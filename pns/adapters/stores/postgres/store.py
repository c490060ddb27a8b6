"""The store in a PostgreSQL database, in a schema of its own: the Store contract of pns/contracts/store.py
on asyncpg.

One connection writes, behind the group commit; a few read small things; a few read pages, so that a large
page never holds a count up. Statements stand in the .sql files beside this module, and run from batch.py,
append.py, writes.py and reads.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TypeVar, cast

from pns.adapters.stores.drafts import drafts, size
from pns.adapters.stores.group_commit import MARKED_AT_ONCE, REMOVED_AT_ONCE, SMALL_WRITE, GroupCommit
from pns.adapters.stores.postgres import reads, writes
from pns.adapters.stores.postgres.append import Append
from pns.adapters.stores.postgres.audiences import PostgresAudiences
from pns.adapters.stores.postgres.batch import Request, commit
from pns.adapters.stores.postgres.connection import PATIENCE_SECONDS, PostgresConnections
from pns.adapters.stores.postgres.migrate import migrate
from pns.adapters.stores.postgres.outbox import PostgresOutbox
from pns.adapters.stores.postgres.writes import MarkSent, Name, Write
from pns.adapters.stores.schema import require_whole
from pns.adapters.stores.secrets import SESSION_SECRET, VAPID_KEY, new_secret, new_vapid_key
from pns.contracts.store import (
    EVERY_DEVICE,
    Appended,
    Committed,
    Cursor,
    Place,
    Presence,
    State,
    StoreReport,
    Submission,
)
from pns.model.notification import Page
from pns.model.push import PushSchedule
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

T = TypeVar("T")

SMALL_READERS = 3
PAGE_READERS = 2


class PostgresStore:
    """See pns.contracts.store.Store. `url` names an existing database; PNS makes the schema `pns` there.

    A call without an answer after `patience` seconds raises StoreUnavailable. So does a write when the
    connection breaks during the commit. The write may have been stored: repeat the request with its ids.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        metrics: Metrics,
        max_waiting_bytes: int = 64 * 2**20,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._url = url
        self._clock = clock
        self._patience = patience
        self._writer = PostgresConnections(url, most=1, patience=patience)
        self._small = PostgresConnections(url, most=SMALL_READERS, patience=patience)
        self._pages = PostgresConnections(url, most=PAGE_READERS, patience=patience)
        self._commits: GroupCommit[Request] = GroupCommit(
            self._commit, clock=clock, metrics=metrics, max_waiting_bytes=max_waiting_bytes
        )
        self.outbox = PostgresOutbox(self._small.run, self._write, report=self._pages.run, clock=clock)
        self.audiences = PostgresAudiences(self._small.run, self._write, clock=clock)

    async def open(self) -> None:
        try:
            await asyncio.to_thread(migrate, self._url, connect_within=self._patience)
            for connections in (self._writer, self._small, self._pages):
                await connections.open()
            require_whole(await self._small.run(reads.copy_mark), reads.place_in(self._url))
            self._commits.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        try:
            await self._commits.close()
        finally:
            for connections in (self._writer, self._small, self._pages):
                await connections.close()

    async def check(self) -> None:
        await self._small.run(reads.newest_revocation)
        if self._commits.trouble is not None:
            await self._write(Write(writes.probe))

    async def report(self) -> StoreReport:
        beside = PostgresConnections(self._url, most=1, patience=self._patience)
        try:
            await beside.open()
            return await beside.run(partial(reads.report, place=reads.place_in(self._url)))
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
        append = Append(wanted, now, terms)
        return cast(Appended, await self._commits.write(append, size=size(wanted), committed=committed))

    async def unseen(self, user_id: str, *, limit: int, max_bytes: int) -> Page:
        return await self._page(user_id, Cursor(limit=limit, max_bytes=max_bytes), "unseen")

    async def seen(self, user_id: str, cursor: Cursor) -> Page:
        return await self._page(user_id, cursor, "seen")

    async def inbox(self, user_id: str, cursor: Cursor) -> Page:
        return await self._page(user_id, cursor, "inbox")

    async def mark_sent_seen(
        self, user_key: int, seqs: Sequence[int], *, committed: Committed[int] | None = None
    ) -> int:
        mark = MarkSent(user_key, seqs, self._clock.now())
        return cast(int, await self._commits.write(mark, size=SMALL_WRITE, committed=committed))

    async def mark_seen(
        self, user_id: str, notification_ids: Sequence[str], *, committed: Committed[int] | None = None
    ) -> int:
        now = self._clock.now()
        mark = partial(writes.mark_ids, user_id=user_id, notification_ids=notification_ids, now=now)
        return await self._write(Write(mark, user_ids=(user_id,)), committed=committed)

    async def mark_seen_up_to(
        self, user_id: str, notification_id: str, *, committed: Committed[int] | None = None
    ) -> int:
        place = partial(reads.place_of, user_id=user_id, notification_id=notification_id)
        return await self._mark_oldest(await self._small.run(place), committed)

    async def mark_all_seen(self, user_id: str, *, committed: Committed[int] | None = None) -> int:
        place = await self._write(Write(partial(writes.last_place, user_id=user_id)))
        return 0 if place is None else await self._mark_oldest(place, committed)

    async def _mark_oldest(self, place: Place, committed: Committed[int] | None) -> int:
        now = self._clock.now()
        mark = partial(
            writes.mark_oldest, user_key=place.user_key, last_seq=place.seq, limit=MARKED_AT_ONCE, now=now
        )
        return await self._repeat(Write(mark, user_keys=(place.user_key,)), MARKED_AT_ONCE, committed)

    async def withdraw(
        self, user_id: str, notification_id: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        remove = partial(writes.withdraw, user_id=user_id, notification_id=notification_id)
        return await self._write(Write(remove, user_ids=(user_id,)), committed=committed)

    # ── users ─────────────────────────────────────────────────────────────────────────────────────────

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        return await self._small.run(partial(reads.states, user_ids=tuple(user_ids)))

    async def revoke(
        self, user_id: str, device_id: str = EVERY_DEVICE, *, committed: Committed[int] | None = None
    ) -> int:
        now = self._clock.now()
        revoke = partial(writes.revoke, user_id=user_id, device_id=device_id, now=now)
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

    async def renew_lease(self, node_id: str, until: int, presences: Sequence[Presence]) -> None:
        held = partial(writes.renew_lease, node_id=node_id, until=until, presences=tuple(presences))
        await self._write(Write(held), size=SMALL_WRITE * (len(presences) + 1))

    async def end_lease(self, node_id: str) -> None:
        await self._write(Write(partial(writes.end_lease, node_id=node_id)))

    async def presences(self, user_id: str, *, except_node: str) -> list[Presence]:
        now = self._clock.now()
        return await self._small.run(
            partial(reads.presences, user_id=user_id, except_node=except_node, now=now)
        )

    # ── upkeep ────────────────────────────────────────────────────────────────────────────────────────

    async def expire(
        self, limit: int, *, committed: Committed[frozenset[str]] | None = None
    ) -> frozenset[str]:
        now = self._clock.now()
        if not await self._small.run(partial(reads.any_expired, now=now)):
            return frozenset()
        find = partial(writes.expired, limit=limit, now=now)
        expire = Write(writes.expire, find=find)
        return await self._write(expire, committed=committed)

    async def prune(self, *, seen_before: int | None, limit: int) -> int:
        removed = await self._write(Write(partial(writes.prune_erased, limit=limit)))
        now = self._clock.now()
        prune = partial(writes.prune, seen_before=seen_before, limit=limit - removed, now=now)
        return removed + await self._write(Write(prune, last=True))

    async def secret(self) -> str:
        return await self._shared(SESSION_SECRET, new_secret)

    async def vapid_key(self) -> str:
        return await self._shared(VAPID_KEY, new_vapid_key)

    async def _shared(self, name: str, new: Callable[[], str]) -> str:
        kept = await self._small.run(partial(reads.secret, name=name))
        if kept is not None:
            return kept
        offer = partial(writes.offer_secret, name=name, value=new())
        return await self._write(Write(offer))

    async def foreign_changes(self) -> int:
        return 0  # PostgreSQL has no such number; several nodes on it need a bus

    # ── the ways in ───────────────────────────────────────────────────────────────────────────────────

    async def _page(self, user_id: str, cursor: Cursor, kind: str) -> Page:
        now = self._clock.now()
        return await self._pages.run(partial(reads.page, user_id=user_id, cursor=cursor, kind=kind, now=now))

    async def _write(
        self, write: Write[T], *, size: int = SMALL_WRITE, committed: Committed[T] | None = None
    ) -> T:
        return cast(T, await self._commits.write(write, size=size, committed=committed))

    async def _repeat(self, write: Write[int], at_once: int, committed: Committed[int] | None = None) -> int:
        """Write again and again, a commit each, until fewer than `at_once` rows were concerned."""
        total = 0
        while True:
            count = await self._write(write, committed=committed)
            total += count
            if count < at_once:
                return total

    async def _commit(self, requests: Sequence[Request]) -> Sequence[object]:
        return await self._writer.run(partial(commit, requests=requests))
