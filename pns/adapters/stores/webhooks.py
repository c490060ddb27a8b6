"""Events for the application as rows, and the decisions of a claim: shared by both engines.

Knows no statement and touches no database. Rows take the columns of the statements by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct

from pns.adapters.stores.drafts import byte_length
from pns.contracts.outbox import Settlement
from pns.contracts.timeline import Note
from pns.contracts.webhooks import WebhookBacklog, WebhookOutcome, WebhookSettlement
from pns.model.notification import StoredNotification, new_notification_id
from pns.model.push import PushState
from pns.model.timeline import What
from pns.model.webhook import (
    MOST_IDS,
    MOST_ITEM_BYTES,
    MOST_ITEMS,
    RemovedDevice,
    WebhookEvent,
    WebhookKind,
    WebhookTerms,
)

CROWDED_LIMIT = 3
"""The most events of a claim while other writes wait, so that no write waits long for the claim."""
DROPPED_AT_ONCE = 1000
"""Due notifications of a user without need to be told, in a claim."""
TOO_LATE = "no node sent it within webhook.retry_days"

_PLACES = msgspec.json.Decoder(tuple[int, ...])
_IDS = msgspec.json.Decoder(tuple[str, ...])
_DEVICE = msgspec.json.Decoder(RemovedDevice)


Row = dict[str, object]
"""The parameters of a new event."""


class EventRow(Struct, frozen=True):
    """A due event; `user_id` and `unseen` are of its user, None for an erased user."""

    webhook_id: str
    user_key: int
    user_id: str | None
    unseen: int | None
    kind: str
    attempts: int
    created_at: int
    expires_at: int
    content: str

    @property
    def places(self) -> tuple[int, ...]:
        """The places of the notifications in an event of UNSEEN."""
        return _PLACES.decode(self.content) if self.kind == WebhookKind.UNSEEN else ()


class DueUser(Struct, frozen=True):
    """A user with something to tell; `user_id` and `unseen` are None for an erased user."""

    user_key: int
    user_id: str | None
    unseen: int | None


class Waiting(NamedTuple):
    """A notification, due to be told."""

    user_key: int
    seq: int


class Item(StoredNotification, frozen=True, array_like=True, kw_only=True):
    """A notification, to be told now."""

    user_key: int


class BacklogRow(NamedTuple):
    """See WebhookBacklog."""

    kind: str
    state: str
    events: int
    oldest: int | None
    reason: str | None

    @property
    def value(self) -> WebhookBacklog:
        return WebhookBacklog(
            WebhookKind(self.kind), PushState(self.state), self.events, self.oldest, self.reason
        )


# ── written with the cause ────────────────────────────────────────────────────────────────────────────


def marked(
    where: Mapping[str, object], ids: Sequence[str], *, kind: WebhookKind, terms: WebhookTerms
) -> list[Row]:
    """The rows of a mark's events. `where`: the mark's parameters, with `user_key` and `now`."""
    user_key, now = cast(int, where["user_key"]), cast(int, where["now"])
    texts = (ids[begin : begin + MOST_IDS] for begin in range(0, len(ids), MOST_IDS))
    return [
        new_row(user_key, msgspec.json.encode(text).decode(), kind=kind, terms=terms, now=now)
        for text in texts
    ]


def removed(user_key: int, device: RemovedDevice, *, terms: WebhookTerms, now: int) -> Row:
    """The row of the event of a removed device."""
    content, kind = msgspec.json.encode(device).decode(), WebhookKind.DEVICE_REMOVED
    return new_row(user_key, content, kind=kind, terms=terms, now=now)


def removed_device(settlement: Settlement) -> RemovedDevice:
    """The device of a settlement, as the application is told of its removal."""
    device = settlement.push.device
    return RemovedDevice(device.device_id, device.network, settlement.reason)


def new_row(user_key: int, content: str, *, kind: WebhookKind, terms: WebhookTerms, now: int) -> Row:
    """The row of a new event, due at once."""
    return {
        "webhook_id": f"evt_{new_notification_id(now)}",
        "user_key": user_key,
        "kind": kind.value,
        "state": PushState.QUEUED.value,
        "attempts": 0,
        "due_at": now,
        "created_at": now,
        "expires_at": now + terms.lifetime,
        "content": content,
        "changed_at": now,
    }


# ── claimed ───────────────────────────────────────────────────────────────────────────────────────────


class Occupied(NamedTuple):
    """A user and the user's event of UNSEEN on its way."""

    user_key: int
    webhook_id: str


class Claimed(NamedTuple):
    """The decisions of a claim, as rows to write.

    `gone`: events to delete, whose users are free again. `failed`: events past their time. `leased`:
    events to send. `new`: the rows of new events. `told`: the notifications in them. `occupied`: users
    with an attempt under way. `rested`: users with nothing to tell now.
    """

    events: list[WebhookEvent]
    gone: list[str]
    failed: list[str]
    leased: list[str]
    new: list[Row]
    told: list[Waiting]
    occupied: list[Occupied]
    rested: list[int]


def again(
    due: Sequence[EventRow],
    items: Mapping[Waiting, Item],
    *,
    more: set[int],
    off: set[str],
    now: int,
) -> Claimed:
    """The next attempt of the events `due`. `items`: the notifications to tell. `more`: the users with
    more to tell. `off`: the categories which users may turn off.
    """
    claimed = _nothing()
    for row in due:
        held = [items[place] for seq in row.places if (place := Waiting(row.user_key, seq)) in items]
        if row.user_id is None or (row.places and not held):
            claimed.gone.append(row.webhook_id)
        elif row.expires_at <= now:
            claimed.failed.append(row.webhook_id)
        else:
            claimed.leased.append(row.webhook_id)
            if row.places:
                claimed.occupied.append(Occupied(row.user_key, row.webhook_id))
            claimed.events.append(_event(row, held, off, more=row.user_key in more))
    return claimed


def _event(row: EventRow, held: Sequence[Item], off: set[str], *, more: bool) -> WebhookEvent:
    kind = WebhookKind(row.kind)
    return WebhookEvent(
        webhook_id=row.webhook_id,
        kind=kind,
        user_id=row.user_id or "",
        attempt=row.attempts + 1,
        created_at=row.created_at,
        expires_at=row.expires_at,
        unseen=row.unseen or 0,
        notifications=tuple(held),
        more=more,
        categories=tuple(sorted(off & {item.category or "" for item in held})),
        notification_ids=_IDS.decode(row.content) if kind in (WebhookKind.SEEN, WebhookKind.READ) else (),
        device=_DEVICE.decode(row.content) if kind is WebhookKind.DEVICE_REMOVED else None,
    )


def gathered(
    users: Sequence[DueUser],
    waiting: Mapping[int, Sequence[Waiting]],
    items: Mapping[Waiting, Item],
    *,
    off: set[str],
    terms: WebhookTerms,
    now: int,
) -> Claimed:
    """A new event for each of `users` with something to tell. `waiting`: each user's due places, the first
    due first, at most MOST_ITEMS + 1.
    """
    claimed = _nothing()
    for user in users:
        found = [items[place] for place in waiting.get(user.user_key, ()) if place in items]
        taken = _fitting(found[:MOST_ITEMS])
        if user.user_id is None or not taken:
            claimed.rested.append(user.user_key)
            continue
        places = [Waiting(item.user_key, item.seq) for item in taken]
        claimed.told.extend(places)
        new = new_row(user.user_key, _text(places), kind=WebhookKind.UNSEEN, terms=terms, now=now)
        # Leased with its row: nobody else has seen the event yet.
        claimed.new.append({**new, "state": PushState.SENDING.value, "attempts": 1})
        row = msgspec.convert({**new, "user_id": user.user_id, "unseen": user.unseen}, EventRow)
        claimed.occupied.append(Occupied(row.user_key, row.webhook_id))
        claimed.events.append(_event(row, taken, off, more=len(found) > len(taken)))
    return claimed


def _nothing() -> Claimed:
    return Claimed([], [], [], [], [], [], [], [])


def _text(places: Iterable[Waiting]) -> str:
    return msgspec.json.encode([seq for _, seq in places]).decode()


def _fitting(items: Sequence[Item]) -> list[Item]:
    """The first of `items`, as many as fit into an event, in the inbox's order."""
    return sorted(_first(items), key=lambda item: item.seq)


def _first(items: Sequence[Item]) -> Iterator[Item]:
    size = 0
    for item in items:
        size += byte_length(item.notification_data)
        if size > MOST_ITEM_BYTES and size > byte_length(item.notification_data):
            return
        yield item


# ── settled ───────────────────────────────────────────────────────────────────────────────────────────


class Settled(NamedTuple):
    """An attempt's outcome as a row. A taken event is deleted."""

    webhook_id: str
    attempt: int
    state: str
    reason: str | None
    due_at: int
    unsent: int

    @property
    def is_over(self) -> bool:
        """Whether there is no other attempt."""
        return self.state == PushState.FAILED


_PLACE = {WebhookKind.UNSEEN: 0, WebhookKind.SEEN: 1, WebhookKind.READ: 2}
"""Microseconds. A timeline has one note of a kind at a time, and a mark may be told by two events at once."""


class EventUser(NamedTuple):
    """The user of an event that is there."""

    webhook_id: str
    user_key: int


def notes(event: WebhookEvent, user_key: int, *, now: int) -> list[Note]:
    """For the timeline: the application took an event that names these notifications."""
    named = {item.notification_id: item.category for item in event.notifications}
    named |= dict.fromkeys(event.notification_ids)
    at, kind = now + _PLACE.get(event.kind, 0), event.kind.type
    return [
        Note(user_key, at, id, What.WEBHOOK, category=category, detail=kind) for id, category in named.items()
    ]


def settled(settlement: WebhookSettlement) -> Settled | None:
    """The row of an event after a failed attempt; None for a taken event."""
    event, outcome, reason, due_at = settlement
    if outcome is WebhookOutcome.TAKEN:
        return None
    sent = outcome is WebhookOutcome.AGAIN
    state = PushState.FAILED if sent and due_at > event.expires_at else PushState.RETRY
    return Settled(event.webhook_id, event.attempt, state.value, reason or None, due_at, int(not sent))
