"""The Webhooks contract of pns/contracts/webhooks.py on a SQLite store's own connections.

Statements stand in webhooks.sql. Every function below the class runs in a connection's thread, and a writing
function inside the writer's transaction. telling.py writes the events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.sqlite.notes import note
from pns.adapters.stores.sqlite.outbox import Committing, Reading
from pns.adapters.stores.sqlite.rows import affected, all_rows, json_array, row
from pns.adapters.stores.webhooks import (
    CROWDED_LIMIT,
    DROPPED_AT_ONCE,
    TOO_LATE,
    BacklogRow,
    Claimed,
    DueUser,
    EventRow,
    EventUser,
    Item,
    Waiting,
    again,
    gathered,
    notes,
    settled,
)
from pns.contracts.webhooks import WebhookBacklog, WebhookSettlement
from pns.model.webhook import MOST_ITEMS, WebhookEvent, WebhookKind, WebhookTerms
from pns.runtime.clock import Clock


class SQLiteWebhooks:
    """See pns.contracts.webhooks.Webhooks. `report`: as `read`, for statements on a whole table.

    `crowded`: whether other writes wait. `noting`: timelines are kept.
    """

    def __init__(
        self,
        read: Reading,
        write: Committing,
        *,
        report: Reading,
        terms: WebhookTerms,
        clock: Clock,
        noting: bool,
        crowded: Callable[[], bool],
    ) -> None:
        self._crowded = crowded
        self._read = read
        self._write = write
        self._report = report
        self._terms = terms
        self._clock = clock
        self._noting = noting

    async def next_due(self) -> int | None:
        return await self._read(partial(_next_due, terms=self._terms))

    async def claim(self, limit: int, until: int) -> list[WebhookEvent]:
        now = self._clock.now()
        if self._crowded():
            limit = min(limit, CROWDED_LIMIT)
        return await self._write(partial(_claim, terms=self._terms, limit=limit, until=until, now=now))

    async def settle(self, settlements: Sequence[WebhookSettlement]) -> None:
        settle = partial(
            _settle,
            settlements=tuple(settlements),
            terms=self._terms,
            now=self._clock.now(),
            noting=self._noting,
        )
        await self._write(settle, size=SMALL_WRITE * len(settlements))

    async def backlog(self) -> list[WebhookBacklog]:
        return await self._report(_backlog)

    async def prune_events(self, *, settled_before: int, limit: int) -> int:
        old = {"settled_before": settled_before, "limit": limit}
        return await self._write(lambda connection: affected(connection, "prune_events", old))


# ── claiming ──────────────────────────────────────────────────────────────────────────────────────────


def _next_due(connection: sqlite3.Connection, *, terms: WebhookTerms) -> int | None:
    names = ["next_event"] + (["next_to_tell"] if WebhookKind.UNSEEN in terms.kinds else [])
    found = [all_rows(connection, name, {}, kind=tuple[int | None])[0][0] for name in names]
    return min((due_at for due_at in found if due_at is not None), default=None)


def _claim(
    connection: sqlite3.Connection, *, terms: WebhookTerms, limit: int, until: int, now: int
) -> list[WebhookEvent]:
    off = {name for (name,) in all_rows(connection, "free_categories", {}, kind=tuple[str])}
    old = all_rows(connection, "due_events", {"now": now, "limit": limit}, kind=EventRow)
    held = _items(connection, [Waiting(each.user_key, seq) for each in old for seq in each.places], now)
    more = {
        each.user_key for each in old if each.places and _due_places(connection, each.user_key, now, limit=1)
    }
    repeated = again(old, held, more=more, off=off, now=now)
    _write(connection, repeated, terms=terms, until=until, now=now)
    room = limit - len(repeated.events)
    if WebhookKind.UNSEEN not in terms.kinds or room <= 0:
        return repeated.events
    new = _gather(connection, room, off=off, terms=terms, now=now)
    _write(connection, new, terms=terms, until=until, now=now)
    return repeated.events + new.events


def _gather(
    connection: sqlite3.Connection, limit: int, *, off: set[str], terms: WebhookTerms, now: int
) -> Claimed:
    due = all_rows(connection, "due_to_tell", {"now": now, "limit": limit}, kind=DueUser)
    users = [user for user in due if _dropped(connection, user.user_key, now)]
    waiting = {u.user_key: _due_places(connection, u.user_key, now, limit=MOST_ITEMS + 1) for u in users}
    items = _items(connection, [place for places in waiting.values() for place in places], now)
    return gathered(users, waiting, items, off=off, terms=terms, now=now)


def _dropped(connection: sqlite3.Connection, user_key: int, now: int) -> bool:
    """Drop what is due and not to be told. False: there may be more, and another claim goes on."""
    drop = {"user_key": user_key, "now": now, "limit": DROPPED_AT_ONCE}
    return affected(connection, "drop_untold", drop) < DROPPED_AT_ONCE


def _due_places(connection: sqlite3.Connection, user_key: int, now: int, *, limit: int) -> list[Waiting]:
    asked = {"user_key": user_key, "now": now, "limit": limit}
    return all_rows(connection, "due_places", asked, kind=Waiting)


def _items(connection: sqlite3.Connection, places: Sequence[Waiting], now: int) -> dict[Waiting, Item]:
    by_user: dict[int, list[int]] = {}
    for user_key, seq in places:
        by_user.setdefault(user_key, []).append(seq)
    found: list[Item] = []
    for user_key, seqs in by_user.items():
        asked = {"user_key": user_key, "seqs": json_array(seqs), "now": now}
        found += all_rows(connection, "told_items", asked, kind=Item)
    return {Waiting(item.user_key, item.seq): item for item in found}


def _write(
    connection: sqlite3.Connection, claimed: Claimed, *, terms: WebhookTerms, until: int, now: int
) -> None:
    for webhook_id in claimed.leased:
        affected(connection, "lease_event", {"webhook_id": webhook_id, "until": until, "now": now})
    for new in claimed.new:
        affected(connection, "insert_event", {**new, "due_at": until})
    for user_key, webhook_id in claimed.occupied:
        affected(connection, "occupy_user", {"user_key": user_key, "webhook_id": webhook_id, "now": now})
    for place in claimed.told:
        affected(connection, "take_place", {**place._asdict(), "now": now})
    for webhook_id in claimed.failed:
        _free(connection, webhook_id, terms)
        affected(connection, "fail_event", {"webhook_id": webhook_id, "reason": TOO_LATE, "now": now})
    for webhook_id in claimed.gone:
        _free(connection, webhook_id, terms)
        affected(connection, "delete_event", {"webhook_id": webhook_id})
    for user_key in claimed.rested:
        rest = {"user_key": user_key, "unseen_every": terms.unseen_every}
        affected(connection, "rest_user", rest)
        affected(connection, "forget_idle_user", {"user_key": user_key})


# ── settling, upkeep ──────────────────────────────────────────────────────────────────────────────────


def _settle(
    connection: sqlite3.Connection,
    *,
    settlements: Sequence[WebhookSettlement],
    terms: WebhookTerms,
    now: int,
    noting: bool,
) -> None:
    for settlement in settlements:
        webhook_id, outcome = settlement.event.webhook_id, settled(settlement)
        if outcome is None:
            if noting:
                _note(connection, settlement.event, now=now)
            _free(connection, webhook_id, terms)
            affected(connection, "delete_event", {"webhook_id": webhook_id})
        elif affected(connection, "settle_event", {**outcome._asdict(), "now": now}) and outcome.is_over:
            _free(connection, webhook_id, terms)


def _note(connection: sqlite3.Connection, event: WebhookEvent, *, now: int) -> None:
    """Note that the event was taken, unless somebody has noted so, or the user is erased."""
    found = row(connection, "event_user", {"webhook_id": event.webhook_id}, kind=EventUser)
    if found is not None:
        note(connection, notes(event, found.user_key, now=now))


def _free(connection: sqlite3.Connection, webhook_id: str, terms: WebhookTerms) -> None:
    """The event is over, and the event's user may have another one of unseen notifications."""
    affected(connection, "free_user", {"webhook_id": webhook_id, "unseen_every": terms.unseen_every})


def _backlog(connection: sqlite3.Connection) -> list[WebhookBacklog]:
    return [found.value for found in all_rows(connection, "event_backlog", {}, kind=BacklogRow)]
