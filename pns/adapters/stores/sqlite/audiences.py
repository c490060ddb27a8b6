"""The Audiences contract of pns/contracts/audiences.py on a SQLite store's own connections.

Statements stand in audiences.sql. Every function below the class runs in a connection's thread, and a writing
function inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from pns.adapters.stores.drafts import size
from pns.adapters.stores.group_commit import REMOVED_AT_ONCE, SMALL_WRITE
from pns.adapters.stores.publications import StoredPublication, columns_of, drafts_of, publication_of, step_of
from pns.adapters.stores.sqlite.append import append
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import affected, all_rows, row
from pns.contracts.audiences import EVERYBODY, Publication, Reached, Subscriber
from pns.model.push import PushSchedule
from pns.runtime.clock import Clock


class SQLiteAudiences:
    """See pns.contracts.audiences.Audiences."""

    def __init__(self, read: Reading, write: Committing, *, clock: Clock) -> None:
        self._read = read
        self._write = write
        self._clock = clock

    async def make(self, audience: str) -> bool:
        new = {"audience": audience, "now": self._clock.now()}
        return await self._write(lambda connection: affected(connection, "make", new) > 0)

    async def remove(self, audience: str) -> bool:
        step = partial(_remove, audience=audience, limit=REMOVED_AT_ONCE)
        there = None
        while there is None:
            there = await self._write(step)
        return there

    async def exists(self, audience: str) -> bool:
        return await self._found("exists", {"audience": audience})

    async def subscribe(self, audience: str, user_id: str, *, make: bool) -> bool:
        new = {"audience": audience, "user_id": user_id, "now": self._clock.now()}
        return await self._write(partial(_subscribe, new=new, make=make))

    async def unsubscribe(self, audience: str, user_id: str) -> None:
        old = {"audience": audience, "user_id": user_id}
        await self._write(lambda connection: affected(connection, "unsubscribe", old))

    async def subscribed(self, audience: str, user_id: str) -> bool:
        return await self._found("subscribed", {"audience": audience, "user_id": user_id})

    async def subscriptions(self, user_id: str) -> list[str]:
        found = await self._read(
            lambda connection: all_rows(connection, "subscriptions", {"user_id": user_id}, kind=tuple[str])
        )
        return [audience for (audience,) in found]

    async def publish(self, publication: Publication) -> Publication:
        return await self._write(partial(_publish, publication=publication))

    async def publication(self, publication_id: str) -> Publication | None:
        return await self._read(partial(_publication, publication_id=publication_id))

    async def due_publication(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_due", now):
            return None
        return await self._write(
            lambda connection: _one(connection, "lease_publication", {**now, "until": until})
        )

    async def subscribers(self, audience: str, *, after: int, limit: int) -> Sequence[Subscriber]:
        name = "everybody" if audience == EVERYBODY else "subscribers"
        where = {"audience": audience, "after": after, "limit": limit}
        return await self._read(lambda connection: all_rows(connection, name, where, kind=Subscriber))

    async def reach(
        self,
        publication: Publication,
        users: Sequence[Subscriber],
        *,
        complete: bool,
        terms: PushSchedule | None = None,
        committed: Callable[[Reached | None], object] | None = None,
    ) -> Reached | None:
        now = self._clock.now()
        step, wanted = (
            step_of(publication, users, now if complete else None),
            drafts_of(publication, users, now),
        )

        def reached(connection: sqlite3.Connection) -> Reached | None:
            if not affected(connection, "advance", step):
                return None
            appended = append(connection, wanted, terms, now=now)
            return Reached(appended.created, appended.changed)

        return await self._write(reached, size=SMALL_WRITE + size(wanted), committed=committed)

    async def rest(self, publication_id: str, *, lease: int) -> None:
        turn = {"publication_id": publication_id, "lease": lease, "now": self._clock.now()}
        await self._write(lambda connection: affected(connection, "rest", turn))

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        old = {"ended_before": ended_before, "limit": limit}
        return await self._write(lambda connection: affected(connection, "prune_publications", old))

    async def _found(self, name: str, where: dict[str, object] | dict[str, int] | dict[str, str]) -> bool:
        return await self._read(lambda connection: row(connection, name, where, kind=tuple[int]) is not None)


def _subscribe(connection: sqlite3.Connection, new: dict[str, object], *, make: bool) -> bool:
    if make:
        affected(connection, "make", new)
    elif row(connection, "exists", new, kind=tuple[int]) is None:
        return False
    affected(connection, "make_user", new)
    affected(connection, "subscribe", new)
    return True


def _remove(connection: sqlite3.Connection, audience: str, *, limit: int) -> bool | None:
    """Whether the audience existed, once its last subscription is gone; None: call again."""
    old = {"audience": audience, "limit": limit}
    if affected(connection, "remove_subscriptions", old) == limit:
        return None
    return affected(connection, "remove", old) > 0


def _publish(connection: sqlite3.Connection, publication: Publication) -> Publication:
    affected(connection, "publish", columns_of(publication))
    return _publication(connection, publication.publication_id) or publication


def _publication(connection: sqlite3.Connection, publication_id: str) -> Publication | None:
    return _one(connection, "publication", {"publication_id": publication_id})


def _one(connection: sqlite3.Connection, name: str, where: dict[str, object]) -> Publication | None:
    found = row(connection, name, where, kind=StoredPublication)
    return None if found is None else publication_of(found)
