"""The Later contract of pns/contracts/later.py on a SQLite store's own connections.

Statements stand in later.sql. Every function below the class runs in a connection's thread, and a writing
function inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from pns.adapters.stores.appends import Append
from pns.adapters.stores.drafts import byte_length
from pns.adapters.stores.later import DueRow, Subject, drafts_of, groups, runs, subjects
from pns.adapters.stores.sqlite.append import append
from pns.adapters.stores.sqlite.level import require_level, require_level_for
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array, row, rows
from pns.adapters.stores.sqlite.writes import end_group, take_back, withdraw_kept
from pns.contracts.later import Behind, Delivered, WaitingCursor
from pns.contracts.store import Appended
from pns.errors import UnknownNotification
from pns.model.pending import PendingNotification, Waiting
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookTerms
from pns.runtime.clock import Clock

_LAST = 2**63 - 1


class SQLiteLater:
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
        if not await self._write(snooze, committed=committed):
            raise UnknownNotification

    async def next_delivery(self) -> int | None:
        return await self._read(_next_delivery)

    async def deliver(
        self,
        *,
        limit: int,
        max_bytes: int,
        terms: PushSchedule | None = None,
        committed: Callable[[Delivered | None], object] | None = None,
    ) -> Delivered:
        now = self._clock.now()
        step = partial(_deliver, limit=limit, max_bytes=max_bytes)
        deliver = partial(step, terms=terms, now=now, webhook=self._webhook, noting=self._noting)
        return await self._write(deliver, committed=committed)

    async def count(self) -> int:
        return await self._pages(_count)


def _next_delivery(connection: sqlite3.Connection) -> int | None:
    """See Later.next_delivery."""
    return all_rows(connection, "next_delivery", (), kind=tuple[int | None])[0][0]


def _count(connection: sqlite3.Connection) -> int:
    """See Later.count."""
    return all_rows(connection, "count_pending", (), kind=tuple[int])[0][0]


def _page(connection: sqlite3.Connection, user_id: str, cursor: WaitingCursor) -> Waiting:
    """See Later.page."""
    user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    user_key = 0 if user is None else user[0]
    if cursor.behind is not None and cursor.behind.user_key != user_key:
        return Waiting(user_key, ())
    start = _start(connection, user_key, cursor)
    if user is None:
        return Waiting(0, ())
    where = {**start._asdict(), "category": cursor.category, "limit": min(cursor.limit, _LAST)}
    name = "pending_after" if cursor.before is None else "pending_before"
    items: list[PendingNotification] = []
    room = cursor.max_bytes
    for item in rows(connection, name, where, kind=PendingNotification):
        room -= byte_length(item.notification_data)
        if items and room < 0:
            break
        items.append(item)
    return Waiting(user_key, tuple(items))


def _start(connection: sqlite3.Connection, user_key: int, cursor: WaitingCursor) -> Behind:
    if cursor.behind is not None:
        return cursor.behind
    id = cursor.after if cursor.before is None else cursor.before
    if not id:
        return Behind(user_key, -_LAST if cursor.before is None else _LAST, "")
    place = {"user_key": user_key, "notification_id": id}
    found = row(connection, "pending_place", place, kind=tuple[int, str])
    if found is None:
        raise UnknownNotification
    return Behind(user_key, *found)


def _snooze(
    connection: sqlite3.Connection, user_id: str, notification_id: str, *, until: int, now: int
) -> bool:
    """See Later.snooze. Returns False for an unknown notification."""
    require_level(connection, [user_id])
    user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    if user is None:
        return False
    which = {"user_key": user[0], "notification_id": notification_id, "until": until, "now": now}
    if row(connection, "place", which, kind=tuple[int]) is None:
        return affected(connection, "snooze_again", which) > 0
    # code of schema 4 stored a notification whose id waited
    take_back(connection, user_id, notification_id, noted_at=None)
    if not affected(connection, "put_aside", which):
        return False
    return withdraw_kept(connection, user_id, notification_id)


def _deliver(
    connection: sqlite3.Connection,
    *,
    limit: int,
    max_bytes: int,
    terms: PushSchedule | None,
    now: int,
    webhook: WebhookTerms,
    noting: bool,
) -> Delivered:
    """See Later.deliver."""
    due = _due(connection, limit=limit, max_bytes=max_bytes, now=now)
    connection.executemany(SQL["take_due"], [(each.user_key, each.notification_id) for each in due])
    stored, changed = 0, frozenset[str]()
    for run in runs(due):
        drafts = drafts_of(run, _unseen(connection, subjects(run), now))
        require_level_for(connection, drafts)
        (appended,) = append(connection, [Append(drafts, now, terms, webhook, noting)])
        assert isinstance(appended, Appended), "what yields makes no conflict"
        stored, changed = stored + appended.created, changed.union(appended.changed)
    for group in groups(due):
        end_group(connection, group)
    return Delivered(len(due), stored, changed)


def _due(connection: sqlite3.Connection, *, limit: int, max_bytes: int, now: int) -> list[DueRow]:
    found: list[DueRow] = []
    room = max_bytes
    for each in rows(connection, "due_pending", {"now": now, "limit": limit}, kind=DueRow):
        room -= byte_length(each.data)
        if found and room < 0:
            break
        found.append(each)
    return found


def _unseen(connection: sqlite3.Connection, asked: Sequence[Subject], now: int) -> set[Subject]:
    """Those of `asked` that unseen notifications have."""
    if not asked:
        return set()
    return set(all_rows(connection, "unseen_keys", {"asked": json_array(asked), "now": now}, kind=Subject))
