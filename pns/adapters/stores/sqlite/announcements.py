"""The Announcements contract of pns/contracts/announcements.py on a SQLite store's own connections.

Statements stand in announcements.sql. Every function below the class runs in a connection's thread, and a
writing function inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from functools import partial

from pns.adapters.stores.announcements import (
    HEADS,
    LOOKED_AT,
    USERS,
    BehindUser,
    CatchingUp,
    Head,
    categories_text,
    drafts_for,
    left_behind,
    missing,
    reached_by,
    row_of,
    told_categories,
)
from pns.adapters.stores.appends import Append
from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.publications import (
    LookedAt,
    StoredPublication,
    columns_of,
    publication_of,
    stretch_of,
)
from pns.adapters.stores.publications import step_of as step_to
from pns.adapters.stores.sqlite.append import append
from pns.adapters.stores.sqlite.level import newest
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array, row
from pns.contracts.announcements import CaughtUp
from pns.contracts.audiences import Publication, Stretch, Subscriber
from pns.contracts.store import Appended
from pns.model.webhook import NO_WEBHOOK, WebhookKind, WebhookTerms
from pns.runtime.clock import Clock


class SQLiteAnnouncements(CatchingUp):
    """See pns.contracts.announcements.Announcements."""

    def __init__(
        self,
        read: Reading,
        write: Committing,
        *,
        clock: Clock,
        webhook: WebhookTerms = NO_WEBHOOK,
        noting: bool = False,
    ) -> None:
        super().__init__(clock=clock, webhook=webhook, noting=noting)
        self._read = read
        self._write = write

    async def announce(self, publication: Publication) -> Publication:
        return await self._write(partial(_announce, publication=publication, now=self._clock.now()))

    async def newest(self) -> int:
        return await self._read(newest)

    async def _catch_up(self, user_ids: tuple[str, ...]) -> CaughtUp:
        request = self._nothing_new()
        return await self._write(
            partial(_catch_up, user_ids=user_ids, request=request),
            size=SMALL_WRITE * len(user_ids),
            committed=partial(self._told, user_ids),
            apart=len(user_ids) == USERS,
        )

    async def due(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        found = await self._read(
            lambda connection: row(connection, "any_task", {**now, "task": "announce"}, kind=tuple[int])
        )
        if found is None:
            return None
        return await self._write(partial(_lease, where={**now, "until": until}))

    async def next_users(self, publication: Publication, *, limit: int) -> Stretch:
        if not publication.after:
            connected = await self.connected_behind(limit)
            if connected.users:
                return connected
        looked = max(LOOKED_AT, limit)
        where: dict[str, object] = {
            "after": publication.after,
            "seq": publication.announcement,
            "limit": looked,
        }
        name = "devices_behind"
        if WebhookKind.UNSEEN in self._webhook.kinds:
            name, where["categories"] = "tellable_behind", categories_text(told_categories(publication))
        found = await self._read(lambda connection: all_rows(connection, name, where, kind=LookedAt))
        return stretch_of(found, limit, after=publication.after, looked=looked)

    async def advance(self, publication: Publication, stretch: Stretch) -> bool:
        now = self._clock.now()
        step = step_to(publication, (), now, end=stretch.end, complete=stretch.complete)
        return await self._write(lambda connection: affected(connection, "advance", step) > 0)

    async def beside_older(self) -> bool:
        now = {"now": self._clock.now()}
        return await self._read(
            lambda connection: row(connection, "any_older_node", now, kind=tuple[int]) is not None
        )

    async def connected_behind(self, limit: int) -> Stretch:
        where = {"now": self._clock.now(), "limit": limit}
        found = await self._read(
            lambda connection: all_rows(connection, "connected_behind", where, kind=Subscriber)
        )
        return Stretch(list(dict.fromkeys(found)), 0, complete=not found)

    async def behind(self, after: int, *, limit: int) -> Stretch:
        looked = max(LOOKED_AT, limit)
        where = {"after": after, "limit": looked}
        found = await self._read(
            lambda connection: all_rows(connection, "users_behind", where, kind=LookedAt)
        )
        return stretch_of(found, limit, after=after, looked=looked)

    async def prune(self, limit: int) -> int:
        old = {"now": self._clock.now(), "limit": limit}
        return await self._write(lambda connection: affected(connection, "prune_announcements", old))


def _announce(connection: sqlite3.Connection, publication: Publication, *, now: int) -> Publication:
    where = {"publication_id": publication.publication_id}
    kept = row(connection, "publication", where, kind=StoredPublication)
    if kept is None:
        _keep(connection, publication, now=now)
        kept = row(connection, "publication", where, kind=StoredPublication)
    return publication if kept is None else publication_of(kept)


def _keep(connection: sqlite3.Connection, publication: Publication, *, now: int) -> None:
    columns = columns_of(publication)
    spreading = {"audience": publication.audience}
    if (
        row(connection, "any_older_node", {"now": now}, kind=tuple[int]) is not None
        or row(connection, "any_broadcast", spreading, kind=tuple[int]) is not None
    ):
        affected(connection, "publish", columns)
        return
    (announcement,) = all_rows(connection, "announce", row_of(publication), kind=tuple[int])[0]
    affected(connection, "publish_announcement", {**columns, "announcement": announcement})


def _catch_up(connection: sqlite3.Connection, user_ids: tuple[str, ...], *, request: Append) -> CaughtUp:
    """Store what users miss, as much as a commit may hold."""
    users = all_rows(connection, "behind_users", {"user_ids": json_array(user_ids)}, kind=BehindUser)
    if not users:
        return CaughtUp(0, {})
    users.sort(key=lambda user: user.announced_up_to)
    after = {"after": users[0].announced_up_to, "limit": HEADS}
    heads = all_rows(connection, "announcements_after", after, kind=Head)
    parts = missing(users, heads, request.now)
    seqs = {seq for part in parts for seq in part.seqs}
    contents = dict(
        all_rows(connection, "announcement_contents", {"seqs": json_array(seqs)}, kind=tuple[int, str])
    )
    wanted = drafts_for(parts, contents, request.now)
    appended = Appended([], 0, {})
    if wanted:
        (outcome,) = append(connection, [request._replace(wanted=wanted)])
        assert isinstance(outcome, Appended), "what yields makes no conflict"
        appended = outcome
    levels = [(part.up_to, part.user.user_key, part.up_to) for part in parts]
    connection.executemany(SQL["raise_levels"], levels)
    counted = [(count, seq) for seq, count in reached_by(parts, contents).items()]
    connection.executemany(SQL["count_reached"], counted)
    return CaughtUp(appended.created, appended.changed, left_behind(parts, heads, user_ids))


def _lease(connection: sqlite3.Connection, where: dict[str, object]) -> Publication | None:
    found = row(connection, "lease_announcement", where, kind=StoredPublication)
    return None if found is None else publication_of(found)
