"""The Audiences contract of pns/contracts/audiences.py on a SQLite store's own connections.

Statements stand in audiences.sql. Every function below the class runs in a connection's thread, and a writing
function inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from pns.adapters.stores.appends import Append
from pns.adapters.stores.copies import step_to
from pns.adapters.stores.group_commit import REMOVED_AT_ONCE, SMALL_WRITE
from pns.adapters.stores.publications import (
    LookedAt,
    StoredPublication,
    columns_of,
    page_of,
    place_of,
    publication_of,
    seen_of,
    stretch_of,
)
from pns.adapters.stores.sqlite import spreading, taking_back
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import affected, all_rows, row, rows
from pns.contracts.audiences import EVERYBODY, Publication, Reached, Stretch, Subscriber, TakenBack
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock


class SQLiteAudiences:
    """See pns.contracts.audiences.Audiences."""

    def __init__(
        self,
        read: Reading,
        write: Committing,
        *,
        others: Callable[[], int],
        clock: Clock,
        webhook: WebhookTerms = NO_WEBHOOK,
        noting: bool = False,
    ) -> None:
        """`others`: the number of writes so far, but for steps. `noting`: timelines are kept."""
        self._others = others
        self._webhook = webhook
        self._noting = noting
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

    async def publications(
        self, before: Publication | None, *, limit: int, max_bytes: int
    ) -> list[Publication]:
        where = {**place_of(before), "limit": limit}
        return await self._read(partial(_page, where=where, max_bytes=max_bytes))

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

    async def connected(self, publication: Publication, *, limit: int) -> Sequence[Subscriber]:
        where = {"audience": publication.audience, "now": self._clock.now(), "limit": limit}
        found = await self._read(
            lambda connection: all_rows(connection, "connected_subscribers", where, kind=Subscriber)
        )
        ahead = {*publication.ahead}
        return sorted(user for user in {*found} if user.user_key not in ahead)

    async def due_seen(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_task", {**now, "task": "spread"}):
            return None
        return await self._write(lambda connection: _one(connection, "lease_seen", {**now, "until": until}))

    async def seen_users(self, publication: Publication, *, limit: int) -> Stretch:
        where = seen_of(publication, limit)
        found = await self._read(
            lambda connection: all_rows(connection, "everybody_seen", where, kind=LookedAt)
        )
        return stretch_of(found, limit, after=publication.after, looked=where["limit"])

    async def reach(
        self,
        publication: Publication,
        users: Sequence[Subscriber],
        *,
        complete: bool,
        end: int | None = None,
        ahead: bool = False,
        terms: PushSchedule | None = None,
        committed: Callable[[Reached | None], object] | None = None,
    ) -> Reached | None:
        alone = Append((), self._clock.now(), terms, self._webhook, self._noting)
        end = publication.after if ahead else end
        step = step_to(publication, users, end=end, complete=complete, alone=alone)._replace(ahead=ahead)
        reach = partial(spreading.reach, step=step)
        return await self._write(reach, size=step.size, committed=committed, apart=True)

    @property
    def others(self) -> int:
        return self._others()

    async def alone(self) -> bool:
        now = {"now": self._clock.now()}
        living = await self._read(lambda connection: all_rows(connection, "living", now, kind=tuple[int]))
        return len(living) < 2

    async def take_back(self, publication_id: str) -> Publication | None:
        return await self._write(partial(_take_back, publication_id=publication_id, now=self._clock.now()))

    async def due_taking_back(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_task", {**now, "task": "take_back"}):
            return None
        return await self._write(
            lambda connection: _one(connection, "lease_taking_back", {**now, "until": until})
        )

    async def holders(self, publication: Publication, *, limit: int) -> Stretch:
        return await self._read(partial(taking_back.holders, publication=publication, limit=limit))

    async def take_from(
        self,
        publication: Publication,
        stretch: Stretch,
        *,
        committed: Callable[[TakenBack | None], object] | None = None,
    ) -> TakenBack | None:
        step = partial(
            taking_back.take_from,
            publication=publication,
            stretch=stretch,
            now=self._clock.now(),
            noting=self._noting,
        )
        return await self._write(step, size=SMALL_WRITE * (len(stretch.users) + 1), committed=committed)

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


def _page(connection: sqlite3.Connection, where: dict[str, object], *, max_bytes: int) -> list[Publication]:
    return page_of(rows(connection, "publications_before", where, kind=StoredPublication), max_bytes)


def _take_back(connection: sqlite3.Connection, publication_id: str, *, now: int) -> Publication | None:
    affected(connection, "withdraw_announcement", {"publication_id": publication_id})
    affected(connection, "take_back", {"publication_id": publication_id, "now": now})
    return _publication(connection, publication_id)


def _publication(connection: sqlite3.Connection, publication_id: str) -> Publication | None:
    return _one(connection, "publication", {"publication_id": publication_id})


def _one(connection: sqlite3.Connection, name: str, where: dict[str, object]) -> Publication | None:
    found = row(connection, name, where, kind=StoredPublication)
    return None if found is None else publication_of(found)
