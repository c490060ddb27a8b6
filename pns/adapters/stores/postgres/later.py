"""The Later contract of pns/contracts/later.py on a PostgreSQL store's own connections.

Statements stand in later.sql. Of the functions below the class, the writing functions run inside the
writer's transaction, after the locks of their Write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pns.adapters.stores.appends import Append
from pns.adapters.stores.later import DueRow, Subject, drafts_of, groups, runs, subjects
from pns.adapters.stores.postgres.append import append
from pns.adapters.stores.postgres.outbox import Committing, Reading
from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    rows,
    safe,
    safe_id,
    single_column,
    single_value,
    tuples,
)
from pns.adapters.stores.postgres.writes import Found, Write, end_group, take_back, withdraw_kept
from pns.contracts.later import Behind, Delivered, WaitingCursor
from pns.contracts.store import Appended
from pns.errors import UnknownNotification
from pns.model.pending import PendingNotification, Waiting
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock

_LAST = 2**63 - 1


class PostgresLater:
    """See pns.contracts.later.Later. `pages`: as `read`, for what may take long. `noting`: keep timelines."""

    def __init__(
        self,
        read: Reading,
        write: Committing,
        *,
        pages: Reading,
        clock: Clock,
        webhook: WebhookTerms = NO_WEBHOOK,
        noting: bool = False,
    ) -> None:
        self._webhook = webhook
        self._noting = noting
        self._read = read
        self._write = write
        self._pages = pages
        self._clock = clock

    async def page(self, user_id: str, cursor: WaitingCursor) -> Waiting:
        return await self._pages(partial(_page, user_id=user_id, cursor=cursor))

    async def snooze(
        self,
        user_id: str,
        notification_id: str,
        until: int,
        *,
        committed: Callable[[bool | None], object] | None = None,
    ) -> None:
        now = self._clock.now()
        which = partial(_snooze, user_id=user_id, notification_id=notification_id)
        snooze = partial(which, until=max(until, now), now=now)
        if not await self._write(Write(snooze, user_ids=(user_id,), level=True), committed=committed):
            raise UnknownNotification

    async def next_delivery(self) -> int | None:
        found: int | None = await self._read(lambda session: single_value(session, "next_delivery", {}))
        return found

    async def deliver(
        self,
        *,
        limit: int,
        max_bytes: int,
        terms: PushSchedule | None = None,
        committed: Callable[[Delivered | None], object] | None = None,
    ) -> Delivered:
        now = self._clock.now()
        deliver = Write(
            partial(_deliver, terms=terms, now=now, webhook=self._webhook, noting=self._noting),
            find=partial(_due, limit=limit, max_bytes=max_bytes, now=now),
            level=True,
        )
        return await self._write(deliver, committed=committed)

    async def count(self) -> int:
        found: int = (await self._pages(lambda session: single_column(session, "count_pending", {})))[0]
        return found


async def _page(session: Session, *, user_id: str, cursor: WaitingCursor) -> Waiting:
    """See Later.page."""
    user_key: int | None = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    if cursor.behind is not None and cursor.behind.user_key != user_key:
        return Waiting(user_key or 0, ())
    start = await _start(session, user_key or 0, cursor)
    if user_key is None:
        return Waiting(0, ())
    where = {
        **start._asdict(),
        "category": None if cursor.category is None else safe_id(cursor.category),
        "limit": min(cursor.limit, _LAST),
        "max_bytes": min(cursor.max_bytes, _LAST),
    }
    name = "pending_after" if cursor.before is None else "pending_before"
    return Waiting(user_key, tuple(await rows(session, name, where, kind=PendingNotification)))


async def _start(session: Session, user_key: int, cursor: WaitingCursor) -> Behind:
    if cursor.behind is not None:
        return cursor.behind
    id = cursor.after if cursor.before is None else cursor.before
    if not id:
        return Behind(user_key, -_LAST if cursor.before is None else _LAST, "")
    place = {"user_key": user_key, "notification_id": safe_id(id)}
    found = await tuples(session, "pending_place", place)
    if not found:
        raise UnknownNotification
    return Behind(user_key, *found[0])


async def _snooze(session: Session, *, user_id: str, notification_id: str, until: int, now: int) -> bool:
    """See Later.snooze. Returns False for an unknown notification."""
    user_key = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    if user_key is None:
        return False
    which = safe({"user_key": user_key, "notification_id": notification_id, "until": until, "now": now})
    if await single_value(session, "place", which) is None:
        return await affected(session, "snooze_again", which) > 0
    await take_back(session, user_id, notification_id, noted_at=None)  # code of schema 4 stored what waited
    if not await affected(session, "put_aside", which):
        return False
    return await withdraw_kept(session, user_id, notification_id)


async def _due(session: Session, *, limit: int, max_bytes: int, now: int) -> Found:
    if not await single_value(session, "try_deliver", {}):
        return ()
    return await tuples(session, "due_pending", {"limit": limit, "max_bytes": max_bytes, "now": now})


async def _deliver(
    session: Session,
    found: Found,
    *,
    terms: PushSchedule | None,
    now: int,
    webhook: WebhookTerms,
    noting: bool,
) -> Delivered:
    """See Later.deliver."""
    if not found:
        return Delivered()
    user_keys, notification_ids = zip(*found, strict=True)
    which = {"user_keys": user_keys, "notification_ids": notification_ids, "now": now}
    due = await rows(session, "take_due", which, kind=DueRow)
    stored, changed = 0, frozenset[str]()
    for run in runs(due):
        drafts = drafts_of(run, await _unseen(session, subjects(run), now))
        (appended,) = await append(session, [Append(drafts, now, terms, webhook, noting)])
        assert isinstance(appended, Appended), "what yields makes no conflict"
        stored, changed = stored + appended.created, changed.union(appended.changed)
    for group in groups(due):
        await end_group(session, group)
    return Delivered(len(due), stored, changed)


async def _unseen(session: Session, asked: Sequence[Subject], now: int) -> set[Subject]:
    """Those of `asked` that unseen notifications have."""
    if not asked:
        return set()
    user_keys, collapse_keys = zip(*asked, strict=True)
    where = {"user_keys": user_keys, "collapse_keys": collapse_keys, "now": now}
    return set(await rows(session, "unseen_keys", where, kind=Subject))
