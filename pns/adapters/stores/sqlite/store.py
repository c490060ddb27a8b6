"""The store in one SQLite file: the Store contract of pns/contracts/store.py on aiosqlite.

Three connections: one writes, behind the group commit; one reads small things; one reads pages, so that a
large page never holds a count up. Statements stand in the .sql files beside this module. The functions of
append.py, writes.py and reads.py run in the connections' threads.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from pns.adapters.stores.drafts import drafts, size
from pns.adapters.stores.group_commit import (
    MARKED_AT_ONCE,
    REMOVED_AT_ONCE,
    SMALL_WRITE,
    GroupCommit,
)
from pns.adapters.stores.schema import require_whole
from pns.adapters.stores.secrets import SESSION_SECRET, VAPID_KEY, new_secret, new_vapid_key
from pns.adapters.stores.sqlite import append as appending
from pns.adapters.stores.sqlite import batch, reads, writes
from pns.adapters.stores.sqlite.audiences import SQLiteAudiences
from pns.adapters.stores.sqlite.connection import SQLiteConnection
from pns.adapters.stores.sqlite.migrate import migrate
from pns.adapters.stores.sqlite.outbox import SQLiteOutbox
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
from pns.errors import SettingsError
from pns.model.notification import Page
from pns.model.push import PushSchedule
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

T = TypeVar("T")


class SQLiteStore:
    """See pns.contracts.store.Store. `path` is a file; its directory must exist, PNS makes the file."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Clock,
        metrics: Metrics,
        max_waiting_bytes: int = 64 * 2**20,
    ) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise SettingsError("PNS keeps notifications in a file: name one, as in sqlite:///pns.db.")
        self.path = Path(path)
        self._clock = clock
        self._connections: list[SQLiteConnection] = []
        self._writer = SQLiteConnection(self.path, self._connections)
        self._small = SQLiteConnection(self.path, self._connections)
        self._pages = SQLiteConnection(self.path, self._connections)
        self._commits: GroupCommit[batch.Operation] = GroupCommit(
            self._commit, clock=clock, metrics=metrics, max_waiting_bytes=max_waiting_bytes
        )
        self.outbox = SQLiteOutbox(self._small.run, self._write, report=self._pages.run, clock=clock)
        self.audiences = SQLiteAudiences(self._small.run, self._write, clock=clock)

    async def open(self) -> None:
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
        await self._small.run(reads.newest_revocation)
        if self._commits.trouble is not None:
            await self._write(writes.probe)

    async def report(self) -> StoreReport:
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
        return await self._write(
            lambda connection: appending.append(connection, wanted, terms, now=now),
            size=size(wanted),
            committed=committed,
        )

    async def unseen(self, user_id: str, *, limit: int, max_bytes: int) -> Page:
        return await self._page(user_id, Cursor(limit=limit, max_bytes=max_bytes), "unseen")

    async def seen(self, user_id: str, cursor: Cursor) -> Page:
        return await self._page(user_id, cursor, "seen")

    async def inbox(self, user_id: str, cursor: Cursor) -> Page:
        return await self._page(user_id, cursor, "inbox")

    async def mark_sent_seen(
        self, user_key: int, seqs: Sequence[int], *, committed: Committed[int] | None = None
    ) -> int:
        now = self._clock.now()
        mark = partial(writes.mark_places, user_key=user_key, seqs=seqs, now=now)
        return await self._write(mark, committed=committed)

    async def mark_seen(
        self, user_id: str, notification_ids: Sequence[str], *, committed: Committed[int] | None = None
    ) -> int:
        now = self._clock.now()
        mark = partial(writes.mark_ids, user_id=user_id, notification_ids=notification_ids, now=now)
        return await self._write(mark, committed=committed)

    async def mark_seen_up_to(
        self, user_id: str, notification_id: str, *, committed: Committed[int] | None = None
    ) -> int:
        place = partial(reads.place_of, user_id=user_id, notification_id=notification_id)
        return await self._mark_oldest(await self._small.run(place), committed)

    async def mark_all_seen(self, user_id: str, *, committed: Committed[int] | None = None) -> int:
        place = await self._write(partial(writes.last_place, user_id=user_id))
        return 0 if place is None else await self._mark_oldest(place, committed)

    async def _mark_oldest(self, place: Place, committed: Committed[int] | None) -> int:
        now = self._clock.now()
        mark = partial(
            writes.mark_oldest, user_key=place.user_key, last_seq=place.seq, limit=MARKED_AT_ONCE, now=now
        )
        return await self._repeat(mark, MARKED_AT_ONCE, committed)

    async def withdraw(
        self, user_id: str, notification_id: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        withdraw = partial(writes.withdraw, user_id=user_id, notification_id=notification_id)
        return await self._write(withdraw, committed=committed)

    # ── users ─────────────────────────────────────────────────────────────────────────────────────────

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        return await self._small.run(partial(reads.states, user_ids=tuple(user_ids)))

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

    async def renew_lease(self, node_id: str, until: int, presences: Sequence[Presence]) -> None:
        held = partial(writes.renew_lease, node_id=node_id, until=until, presences=tuple(presences))
        await self._write(held, size=SMALL_WRITE * (len(presences) + 1))

    async def end_lease(self, node_id: str) -> None:
        await self._write(partial(writes.end_lease, node_id=node_id))

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
        return await self._write(partial(writes.expire, limit=limit, now=now), committed=committed)

    async def prune(self, *, seen_before: int | None, limit: int) -> int:
        now = self._clock.now()
        return await self._write(partial(writes.prune, seen_before=seen_before, limit=limit, now=now))

    async def secret(self) -> str:
        return await self._shared(SESSION_SECRET, new_secret)

    async def vapid_key(self) -> str:
        return await self._shared(VAPID_KEY, new_vapid_key)

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

    async def _page(self, user_id: str, cursor: Cursor, kind: str) -> Page:
        now = self._clock.now()
        return await self._pages.run(partial(reads.page, user_id=user_id, cursor=cursor, kind=kind, now=now))

    async def _write(
        self,
        operation: Callable[[sqlite3.Connection], T],
        *,
        size: int = SMALL_WRITE,
        committed: Committed[T] | None = None,
    ) -> T:
        return cast(T, await self._commits.write(operation, size=size, committed=committed))

    async def _repeat(
        self,
        operation: Callable[[sqlite3.Connection], int],
        at_once: int,
        committed: Committed[int] | None = None,
    ) -> int:
        """Write again and again, a commit each, until fewer than `at_once` rows were concerned."""
        total = 0
        while True:
            count = await self._write(operation, committed=committed)
            total += count
            if count < at_once:
                return total

    async def _commit(self, operations: Sequence[batch.Operation]) -> Sequence[object]:
        return await self._writer.run(
            partial(batch.commit, operations=operations, check_file=self._writer.check_file)
        )
