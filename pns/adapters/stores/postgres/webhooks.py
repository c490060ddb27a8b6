"""The Webhooks contract of pns/contracts/webhooks.py on a PostgreSQL store's own connections.

Statements stand in webhooks.sql. Every writing function below the class runs inside the writer's transaction.
A claim locks no user, and takes rows without a lock. telling.py writes the events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.postgres.notes import note
from pns.adapters.stores.postgres.outbox import Committing, Reading
from pns.adapters.stores.postgres.rows import Session, affected, rows, single_column, single_value
from pns.adapters.stores.postgres.telling import insert
from pns.adapters.stores.postgres.writes import Write
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


class PostgresWebhooks:
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
        claim = partial(_claim, terms=self._terms, limit=limit, until=until, now=now)
        return await self._write(Write(claim, last=True))

    async def settle(self, settlements: Sequence[WebhookSettlement]) -> None:
        settle = partial(
            _settle,
            settlements=tuple(settlements),
            terms=self._terms,
            now=self._clock.now(),
            noting=self._noting,
        )
        users = tuple({settlement.event.user_id for settlement in settlements})
        await self._write(Write(settle, user_ids=users), size=SMALL_WRITE * len(settlements))

    async def backlog(self) -> list[WebhookBacklog]:
        return await self._report(_backlog)

    async def prune_events(self, *, settled_before: int, limit: int) -> int:
        prune = partial(_prune, settled_before=settled_before, limit=limit)
        return await self._write(Write(prune, last=True))


# ── claiming ──────────────────────────────────────────────────────────────────────────────────────────


async def _next_due(session: Session, *, terms: WebhookTerms) -> int | None:
    names = ["next_event"] + (["next_to_tell"] if WebhookKind.UNSEEN in terms.kinds else [])
    found = [await single_value(session, name, {}) for name in names]
    return min((due_at for due_at in found if due_at is not None), default=None)


async def _claim(
    session: Session, *, terms: WebhookTerms, limit: int, until: int, now: int
) -> list[WebhookEvent]:
    off = set(await single_column(session, "free_categories", {}))
    old = await rows(session, "due_events", {"now": now, "limit": limit}, kind=EventRow)
    held = await _items(session, [Waiting(each.user_key, seq) for each in old for seq in each.places], now)
    more = await _due_places(session, [each.user_key for each in old if each.places], now, limit=1)
    repeated = again(old, held, more=set(more), off=off, now=now)
    await _write(session, repeated, terms=terms, until=until, now=now)
    room = limit - len(repeated.events)
    if WebhookKind.UNSEEN not in terms.kinds or room <= 0:
        return repeated.events
    new = await _gather(session, room, off=off, terms=terms, now=now)
    await _write(session, new, terms=terms, until=until, now=now)
    return repeated.events + new.events


async def _gather(session: Session, limit: int, *, off: set[str], terms: WebhookTerms, now: int) -> Claimed:
    due = await rows(session, "due_to_tell", {"now": now, "limit": limit}, kind=DueUser)
    full = await _dropped(session, [user.user_key for user in due], now)
    users = [user for user in due if user.user_key not in full]
    waiting = await _due_places(session, [u.user_key for u in users], now, limit=MOST_ITEMS + 1)
    items = await _items(session, [place for places in waiting.values() for place in places], now)
    return gathered(users, waiting, items, off=off, terms=terms, now=now)


async def _dropped(session: Session, user_keys: Sequence[int], now: int) -> set[int]:
    """Drop what is due and not to be told. The users of whom there may be more: another claim goes on."""
    if not user_keys:
        return set()
    drop = {"user_keys": user_keys, "now": now, "limit": DROPPED_AT_ONCE}
    dropped = Counter(await single_column(session, "drop_untold", drop))
    return {user_key for user_key, count in dropped.items() if count >= DROPPED_AT_ONCE}


async def _due_places(
    session: Session, user_keys: Sequence[int], now: int, *, limit: int
) -> dict[int, list[Waiting]]:
    by_user: dict[int, list[Waiting]] = {}
    if user_keys:
        asked = {"user_keys": user_keys, "now": now, "limit": limit}
        for place in await rows(session, "due_places", asked, kind=Waiting):
            by_user.setdefault(place.user_key, []).append(place)
    return by_user


async def _items(session: Session, places: Sequence[Waiting], now: int) -> dict[Waiting, Item]:
    if not places:
        return {}
    asked = {**_columns(places), "now": now}
    found = await rows(session, "told_items", asked, kind=Item)
    return {Waiting(item.user_key, item.seq): item for item in found}


def _columns(places: Sequence[Waiting]) -> dict[str, object]:
    return {"user_keys": [place.user_key for place in places], "seqs": [place.seq for place in places]}


async def _write(session: Session, claimed: Claimed, *, terms: WebhookTerms, until: int, now: int) -> None:
    if claimed.leased:
        await affected(session, "lease_event", {"webhook_ids": claimed.leased, "until": until, "now": now})
    await insert(session, [{**new, "due_at": until} for new in claimed.new])
    if claimed.occupied:
        user_keys, webhook_ids = zip(*claimed.occupied, strict=True)
        occupied = {"user_keys": user_keys, "webhook_ids": webhook_ids, "now": now}
        await affected(session, "occupy_user", occupied)
    if claimed.told:
        await affected(session, "take_place", {**_columns(claimed.told), "now": now})
    await _free(session, [*claimed.failed, *claimed.gone], terms)
    if claimed.failed:
        failed = {"webhook_ids": claimed.failed, "reason": TOO_LATE, "now": now}
        await affected(session, "fail_event", failed)
    if claimed.gone:
        await affected(session, "delete_event", {"webhook_ids": claimed.gone})
    if claimed.rested:
        rest = {"user_keys": claimed.rested, "unseen_every": terms.unseen_every}
        await affected(session, "rest_user", rest)
        await affected(session, "forget_idle_user", rest)


# ── settling, upkeep ──────────────────────────────────────────────────────────────────────────────────


async def _settle(
    session: Session,
    *,
    settlements: Sequence[WebhookSettlement],
    terms: WebhookTerms,
    now: int,
    noting: bool,
) -> None:
    outcomes = [(settlement.event.webhook_id, settled(settlement)) for settlement in settlements]
    taken = [webhook_id for webhook_id, outcome in outcomes if outcome is None]
    others = [outcome for _, outcome in outcomes if outcome is not None]
    over = {outcome.webhook_id for outcome in others if outcome.is_over}
    if others:
        webhook_ids, attempts, states, reasons, due_at, unsent = zip(*others, strict=True)
        changes = {
            "webhook_ids": webhook_ids,
            "attempts": attempts,
            "states": states,
            "reasons": reasons,
            "due_at": due_at,
            "unsent": unsent,
        }
        over &= set(await single_column(session, "settle_event", {**changes, "now": now}))
    if noting and taken:
        await _note(session, settlements, taken, now=now)
    await _free(session, [*taken, *over], terms)
    if taken:
        await affected(session, "delete_event", {"webhook_ids": taken})


async def _note(
    session: Session, settlements: Sequence[WebhookSettlement], taken: Sequence[str], *, now: int
) -> None:
    """Note that the events were taken, unless somebody has noted so, or their users are erased."""
    found = await rows(session, "event_user", {"webhook_ids": taken}, kind=EventUser)
    events = {settlement.event.webhook_id: settlement.event for settlement in settlements}
    noted = [one for each in found for one in notes(events[each.webhook_id], each.user_key, now=now)]
    if noted:
        await note(session, noted)


async def _free(session: Session, webhook_ids: Sequence[str], terms: WebhookTerms) -> None:
    """The events are over, and their users may have others of unseen notifications."""
    if webhook_ids:
        over = {"webhook_ids": webhook_ids, "unseen_every": terms.unseen_every}
        await affected(session, "hold_told_users", over)
        await affected(session, "free_user", over)


async def _backlog(session: Session) -> list[WebhookBacklog]:
    return [found.value for found in await rows(session, "event_backlog", {}, kind=BacklogRow)]


async def _prune(session: Session, *, settled_before: int, limit: int) -> int:
    return await affected(session, "prune_events", {"settled_before": settled_before, "limit": limit})
