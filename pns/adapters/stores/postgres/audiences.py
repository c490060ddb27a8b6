"""The Audiences contract of pns/contracts/audiences.py on a PostgreSQL store's own connections.

Statements stand in audiences.sql. Of the functions below the class, the writing functions run inside the
writer's transaction, after the locks of their Write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.appends import Append
from pns.adapters.stores.copies import step_to
from pns.adapters.stores.group_commit import REMOVED_AT_ONCE, SMALL_WRITE
from pns.adapters.stores.postgres import spreading, taking_back
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
from pns.adapters.stores.postgres.writes import Found, Name, Write
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
from pns.contracts.audiences import EVERYBODY, Publication, Reached, Stretch, Subscriber, TakenBack
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock


class PostgresAudiences:
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
        self._foresight = spreading.Foresight()

    async def make(self, audience: str) -> bool:
        new = {"audience": audience, "now": self._clock.now()}
        make = Write(partial(_change, name="make", parameters=new), names=(_audience(audience),))
        return await self._write(make) > 0

    async def remove(self, audience: str) -> bool:
        step = Write(
            partial(_remove, audience=audience, limit=REMOVED_AT_ONCE),
            names=(_audience(audience),),
            find=partial(_some_subscribers, audience=audience, limit=REMOVED_AT_ONCE),
        )
        there = None
        while there is None:
            there = await self._write(step)
        return there

    async def exists(self, audience: str) -> bool:
        return await self._found("exists", {"audience": safe_id(audience)})

    async def subscribe(self, audience: str, user_id: str, *, make: bool) -> bool:
        subscribe = Write(
            partial(_subscribe, audience=audience, user_id=user_id),
            makes=(user_id,),
            names=(_audience(audience)._replace(shared=True),),
        )
        if not make and not await self.exists(audience):
            return False
        while not await self._write(subscribe):
            if not make:
                return False
            await self.make(audience)
        return True

    async def unsubscribe(self, audience: str, user_id: str) -> None:
        old = {"audience": safe_id(audience), "user_id": safe_id(user_id)}
        unsubscribe = partial(_change, name="unsubscribe", parameters=old)
        await self._write(Write(unsubscribe, user_ids=(user_id,)))

    async def subscribed(self, audience: str, user_id: str) -> bool:
        return await self._found("subscribed", {"audience": safe_id(audience), "user_id": safe_id(user_id)})

    async def subscriptions(self, user_id: str) -> list[str]:
        return await self._read(
            lambda session: single_column(session, "subscriptions", {"user_id": safe_id(user_id)})
        )

    async def publish(self, publication: Publication) -> Publication:
        publish = Write(
            partial(_publish, publication=publication), names=(publication_name(publication.publication_id),)
        )
        return await self._write(publish)

    async def publication(self, publication_id: str) -> Publication | None:
        return await self._read(partial(_publication, publication_id=publication_id))

    async def publications(
        self, before: Publication | None, *, limit: int, max_bytes: int
    ) -> list[Publication]:
        where = {**place_of(before), "limit": limit, "max_bytes": max_bytes}
        return await self._read(partial(_page, where=where, max_bytes=max_bytes))

    async def due_publication(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_due", now):
            return None
        lease = partial(_one, name="lease_publication", where={**now, "until": until})
        return await self._write(Write(lease, last=True))

    async def subscribers(self, audience: str, *, after: int, limit: int) -> Sequence[Subscriber]:
        name = "everybody" if audience == EVERYBODY else "subscribers"
        where = {"audience": safe_id(audience), "after": after, "limit": limit}
        return await self._read(lambda session: rows(session, name, where, kind=Subscriber))

    async def connected(self, publication: Publication, *, limit: int) -> Sequence[Subscriber]:
        where = {"audience": publication.audience, "now": self._clock.now(), "limit": limit}
        found = await self._read(
            lambda session: rows(session, "connected_subscribers", where, kind=Subscriber)
        )
        ahead = {*publication.ahead}
        return sorted(user for user in {*found} if user.user_key not in ahead)

    async def due_seen(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_task", {**now, "task": "spread"}):
            return None
        lease = partial(_one, name="lease_seen", where={**now, "until": until})
        return await self._write(Write(lease, last=True))

    async def seen_users(self, publication: Publication, *, limit: int) -> Stretch:
        where = seen_of(publication, limit)
        found = await self._read(lambda session: rows(session, "everybody_seen", where, kind=LookedAt))
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
        reach = Write(
            partial(spreading.reach, step=step, foresight=self._foresight),
            names=(publication_name(publication.publication_id),),
        )
        told = cast(Callable[[Reached | NotCaughtUp | None], object] | None, committed)
        reached = await self._write(reach, size=step.size, committed=told, apart=True)
        return cast(Reached | None, reached)

    @property
    def others(self) -> int:
        return self._others()

    async def alone(self) -> bool:
        return True  # each node has a connection of its own, and no write waits for another's

    async def take_back(self, publication_id: str) -> Publication | None:
        take_back = partial(_take_back, publication_id=safe_id(publication_id), now=self._clock.now())
        return await self._write(Write(take_back, names=(publication_name(publication_id),)))

    async def due_taking_back(self, until: int) -> Publication | None:
        now = {"now": self._clock.now()}
        if not await self._found("any_task", {**now, "task": "take_back"}):
            return None
        lease = partial(_one, name="lease_taking_back", where={**now, "until": until})
        return await self._write(Write(lease, last=True))

    async def holders(self, publication: Publication, *, limit: int) -> Stretch:
        return await self._read(partial(taking_back.holders, publication=publication, limit=limit))

    async def take_from(
        self,
        publication: Publication,
        stretch: Stretch,
        *,
        committed: Callable[[TakenBack | None], object] | None = None,
    ) -> TakenBack | None:
        now = self._clock.now()
        take = Write(
            partial(
                taking_back.take_from,
                publication=publication,
                stretch=stretch,
                now=now,
                noting=self._noting,
            ),
            user_keys=tuple(user.user_key for user in stretch.users),
            names=(publication_name(publication.publication_id),),
        )
        return await self._write(take, size=SMALL_WRITE * (len(stretch.users) + 1), committed=committed)

    async def rest(self, publication_id: str, *, lease: int) -> None:
        turn = {"publication_id": publication_id, "lease": lease, "now": self._clock.now()}
        rest = partial(_change, name="rest", parameters=turn)
        await self._write(Write(rest, names=(publication_name(publication_id),)))

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        old = {"ended_before": ended_before, "limit": limit}
        prune = partial(_change, name="prune_publications", parameters=old)
        return await self._write(Write(prune, last=True))

    async def _found(self, name: str, where: Mapping[str, object]) -> bool:
        return await self._read(lambda session: single_value(session, name, where)) is not None


def _audience(audience: str) -> Name:
    return Name(f"audience {audience}")


def publication_name(publication_id: str) -> Name:
    """The name that whoever changes a publication holds."""
    return Name(f"publication {publication_id}")


async def _change(session: Session, *, name: str, parameters: Mapping[str, object]) -> int:
    return await affected(session, name, parameters)


async def _subscribe(session: Session, *, audience: str, user_id: str) -> bool:
    if await single_value(session, "exists", {"audience": audience}) is None:
        return False
    await affected(session, "subscribe", {"audience": audience, "user_id": user_id})
    return True


async def _some_subscribers(session: Session, *, audience: str, limit: int) -> Found:
    return await tuples(session, "some_subscribers", {"audience": safe_id(audience), "limit": limit})


async def _remove(session: Session, found: Found, *, audience: str, limit: int) -> bool | None:
    """Whether the audience existed, once its last subscription is gone; None: call again."""
    where = {"audience": safe_id(audience)}
    if len(found) < limit:
        return await affected(session, "remove", where) > 0
    await affected(session, "remove_subscriptions", {**where, "user_keys": [key for (key,) in found]})
    return None


async def _publish(session: Session, *, publication: Publication) -> Publication:
    await affected(session, "publish", columns_of(publication))
    return await _publication(session, publication.publication_id) or publication


async def _page(session: Session, *, where: Mapping[str, object], max_bytes: int) -> list[Publication]:
    return page_of(await rows(session, "publications_before", where, kind=StoredPublication), max_bytes)


async def _take_back(session: Session, *, publication_id: str, now: int) -> Publication | None:
    await affected(session, "withdraw_announcement", {"publication_id": publication_id})
    await affected(session, "take_back", {"publication_id": publication_id, "now": now})
    return await _publication(session, publication_id)


async def _publication(session: Session, publication_id: str) -> Publication | None:
    return await _one(session, name="publication", where={"publication_id": safe_id(publication_id)})


async def _one(session: Session, *, name: str, where: Mapping[str, object]) -> Publication | None:
    found = await row(session, name, where, kind=StoredPublication)
    return None if found is None else publication_of(found)
