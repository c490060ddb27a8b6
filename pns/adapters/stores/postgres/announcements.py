"""The Announcements contract of pns/contracts/announcements.py on a PostgreSQL store's own connections.

Statements stand in announcements.sql. Of the functions below the class, the writing functions run inside the
writer's transaction, after the locks of their Write.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pns.adapters.stores.announcements import (
    HEADS,
    LOOKED_AT,
    USERS,
    BehindUser,
    CatchingUp,
    Head,
    drafts_for,
    left_behind,
    missing,
    reached_by,
    row_of,
    told_categories,
)
from pns.adapters.stores.appends import Append
from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.postgres.append import append
from pns.adapters.stores.postgres.audiences import publication_name
from pns.adapters.stores.postgres.outbox import Committing, Reading
from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    row,
    rows,
    safe_id,
    single_column,
    single_value,
    tuples,
)
from pns.adapters.stores.postgres.writes import Name, Write
from pns.adapters.stores.publications import (
    LookedAt,
    StoredPublication,
    columns_of,
    publication_of,
    stretch_of,
)
from pns.adapters.stores.publications import step_of as step_to
from pns.contracts.announcements import CaughtUp
from pns.contracts.audiences import Publication, Stretch, Subscriber
from pns.contracts.store import Appended
from pns.model.webhook import NO_WEBHOOK, WebhookKind, WebhookTerms
from pns.runtime.clock import Clock

_ALL = Name("announcements")
"""Held while an announcement is stored: their numbers rise in the order of commits."""


class PostgresAnnouncements(CatchingUp):
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
        announce = Write(
            partial(_announce, publication=publication, now=self._clock.now()),
            names=(publication_name(publication.publication_id), _ALL),
        )
        return await self._write(announce)

    async def newest(self) -> int:
        return await self._read(_newest)

    async def _catch_up(self, user_ids: tuple[str, ...]) -> CaughtUp:
        request = self._nothing_new()
        user_ids = tuple(map(safe_id, user_ids))
        catch_up = Write(partial(_catch_up, user_ids=user_ids, request=request), user_ids=user_ids)
        return await self._write(
            catch_up,
            size=SMALL_WRITE * len(user_ids),
            committed=partial(self._told, user_ids),
            apart=len(user_ids) == USERS,
        )

    async def due(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_task", {**now, "task": "announce"}):
            return None
        return await self._write(Write(partial(_lease, where={**now, "until": until}), last=True))

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
            "categories": told_categories(publication),
        }
        name = "tellable_behind" if WebhookKind.UNSEEN in self._webhook.kinds else "devices_behind"
        found = await self._read(lambda session: rows(session, name, where, kind=LookedAt))
        return stretch_of(found, limit, after=publication.after, looked=looked)

    async def advance(self, publication: Publication, stretch: Stretch) -> bool:
        now = self._clock.now()
        step = step_to(publication, (), now, end=stretch.end, complete=stretch.complete)
        names = (publication_name(publication.publication_id),)
        return await self._write(Write(partial(_change, name="advance", where=step), names=names)) > 0

    async def beside_older(self) -> bool:
        return await self._found("any_older_node", {"now": self._clock.now()})

    async def connected_behind(self, limit: int) -> Stretch:
        where = {"now": self._clock.now(), "limit": limit}
        found = await self._read(lambda session: rows(session, "connected_behind", where, kind=Subscriber))
        return Stretch(list(dict.fromkeys(found)), 0, complete=not found)

    async def behind(self, after: int, *, limit: int) -> Stretch:
        looked = max(LOOKED_AT, limit)
        where = {"after": after, "limit": looked}
        found = await self._read(lambda session: rows(session, "users_behind", where, kind=LookedAt))
        return stretch_of(found, limit, after=after, looked=looked)

    async def prune(self, limit: int) -> int:
        old = {"now": self._clock.now(), "limit": limit}
        return await self._write(Write(partial(_change, name="prune_announcements", where=old), last=True))

    async def _found(self, name: str, where: Mapping[str, object]) -> bool:
        return await self._read(lambda session: single_value(session, name, where)) is not None


async def _change(session: Session, *, name: str, where: Mapping[str, object]) -> int:
    return await affected(session, name, where)


async def _newest(session: Session) -> int:
    found: int = (await single_column(session, "newest_announcement", {}))[0]
    return found


async def _announce(session: Session, *, publication: Publication, now: int) -> Publication:
    where = {"publication_id": safe_id(publication.publication_id)}
    kept = await row(session, "publication", where, kind=StoredPublication)
    if kept is None:
        await _keep(session, publication, now=now)
        kept = await row(session, "publication", where, kind=StoredPublication)
    return publication if kept is None else publication_of(kept)


async def _keep(session: Session, publication: Publication, *, now: int) -> None:
    columns = columns_of(publication)
    spreading = {"audience": publication.audience}
    if (
        await single_value(session, "any_older_node", {"now": now}) is not None
        or await single_value(session, "any_broadcast", spreading) is not None
    ):
        await affected(session, "publish", columns)
        return
    (announcement,) = await single_column(session, "announce", row_of(publication))
    await affected(session, "publish_announcement", {**columns, "announcement": announcement})


async def _catch_up(session: Session, *, user_ids: tuple[str, ...], request: Append) -> CaughtUp:
    """Store what users miss, as much as a commit may hold."""
    users = await rows(session, "behind_users", {"user_ids": user_ids}, kind=BehindUser)
    if not users:
        return CaughtUp(0, {})
    users.sort(key=lambda user: user.announced_up_to)
    after = {"after": users[0].announced_up_to, "limit": HEADS}
    heads = await rows(session, "announcements_after", after, kind=Head)
    parts = missing(users, heads, request.now)
    seqs = [*{seq for part in parts for seq in part.seqs}]
    contents = dict(await tuples(session, "announcement_contents", {"seqs": seqs}))
    wanted = drafts_for(parts, contents, request.now)
    appended = Appended([], 0, {})
    if wanted:
        (outcome,) = await append(session, [request._replace(wanted=wanted)])
        assert isinstance(outcome, Appended), "what yields makes no conflict"
        appended = outcome
    levels = {"user_keys": [part.user.user_key for part in parts], "levels": [part.up_to for part in parts]}
    await affected(session, "raise_levels", levels)
    counted = reached_by(parts, contents)
    if counted:
        await affected(session, "count_reached", {"seqs": [*counted], "counts": [*counted.values()]})
    return CaughtUp(appended.created, appended.changed, left_behind(parts, heads, user_ids))


async def _lease(session: Session, *, where: Mapping[str, object]) -> Publication | None:
    found = await row(session, "lease_announcement", where, kind=StoredPublication)
    return None if found is None else publication_of(found)
