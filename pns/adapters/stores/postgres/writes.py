"""Writing, beside appending: marking as seen, removing, revoking, leases and upkeep.

Every function runs inside the writer's transaction, after the locks of its Write. A function that changes or
removes an unseen row must lower the user's count. Triggers keep all other numbers; see migration 0004.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import Any, Generic, NamedTuple, TypeVar

from pns.adapters.stores.announcements import NotCaughtUp
from pns.adapters.stores.later import Recalled, Taken
from pns.adapters.stores.postgres.level import behind_among, visitors_behind
from pns.adapters.stores.postgres.notes import note, note_expired, note_withdrawn
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
from pns.adapters.stores.postgres.telling import insert, tell_seen
from pns.adapters.stores.schema import SCHEMA_VERSION
from pns.adapters.stores.webhooks import marked as rows_of
from pns.contracts.store import EVERY_DEVICE, Place, Presence, Visitor
from pns.model.timestamp import DAY, MINUTE
from pns.model.webhook import WebhookKind, WebhookTerms
from pns.runtime.release import release

T = TypeVar("T")

SKEW = 5 * MINUTE
"""The most that the clocks of two nodes may differ. The record of a used ticket stays so much longer."""
PROBE_BYTES = 32_768

Found = Sequence[tuple[Any, ...]]
"""Rows that begin with a user's key."""


class Name(NamedTuple):
    """A name such as an address that several nodes may want to make at once. `shared`: the name must stay."""

    text: str
    shared: bool = False


class Write(NamedTuple, Generic[T]):
    """One request to write. Before `run`, the batch locks `names`, the users of `user_ids` and `user_keys`,
    the users of `makes` and those that `find_new` returns, which makes missing users, and the users of the
    rows that `find` returns. `run` has these rows as its second argument.

    `level`: the request runs only if the inboxes of all its users are level; else its result is NotCaughtUp.

    `last`: the request locks no users and takes only rows without a lock. Requests that may wait come before.
    """

    run: Callable[..., Awaitable[T]]
    user_ids: tuple[str, ...] = ()
    user_keys: tuple[int, ...] = ()
    makes: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    find: Callable[[Session], Awaitable[Found]] | None = None
    find_new: Callable[[Session], Awaitable[Sequence[str]]] | None = None
    erases: bool = False
    last: bool = False
    level: bool = False


class Ended(NamedTuple):
    """A group whose notification is gone."""

    user_key: int
    group_key: int


class Removed(NamedTuple):
    """A notification that was removed, as far as its user's count needs it."""

    user_key: int
    seen_date: int | None


class MarkSent(NamedTuple):
    """One request to mark sent notifications; see Store.mark_sent_seen."""

    user_key: int
    seqs: Sequence[int]
    now: int
    webhook: WebhookTerms

    @property
    def tells(self) -> bool:
        """Whether the application is told of the mark."""
        return WebhookKind.SEEN in self.webhook.kinds


# ── seen and withdrawn ────────────────────────────────────────────────────────────────────────────────


async def mark_places(session: Session, marks: Sequence[MarkSent]) -> list[int]:
    """The number of rows that each of `marks` marked. Of two marks for one row, the first counts."""
    if not marks:
        return []
    await _tell_sent(session, marks)
    asked = {
        Place(mark.user_key, seq): (number, mark.now)
        for number, mark in reversed(list(enumerate(marks)))
        for seq in mark.seqs
    }
    places = {
        "user_keys": [user_key for user_key, _ in asked],
        "seqs": [seq for _, seq in asked],
        "nows": [now for _, now in asked.values()],
    }
    marked = Counter(asked[place][0] for place in await rows(session, "mark_places", places, kind=Place))
    return [marked[number] for number in range(len(marks))]


async def _tell_sent(session: Session, marks: Sequence[MarkSent]) -> None:
    """Write the events of what `marks` are going to make seen."""
    for terms in {mark.webhook for mark in marks if mark.tells}:
        of_terms = [mark for mark in marks if mark.webhook == terms]
        places = dict.fromkeys((mark.user_key, seq) for mark in of_terms for seq in mark.seqs)
        where = {"user_keys": [key for key, _ in places], "seqs": [seq for _, seq in places]}
        by_user: dict[int, list[str]] = {}
        for user_key, id in await tuples(session, "unseen_ids_sent", where):
            by_user.setdefault(user_key, []).append(id)
        now = {mark.user_key: mark.now for mark in reversed(of_terms)}
        for user_key, ids in by_user.items():
            mark = {"user_key": user_key, "now": now[user_key]}
            await insert(session, rows_of(mark, ids, kind=WebhookKind.SEEN, terms=terms))


async def mark_ids(
    session: Session, user_id: str, notification_ids: Sequence[str], *, webhook: WebhookTerms, now: int
) -> int:
    """See Store.mark_seen."""
    user_key = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    if user_key is None:
        return 0
    ids = {"user_key": user_key, "notification_ids": [*map(safe_id, notification_ids)], "now": now}
    await tell_seen(session, "unseen_ids_named", ids, terms=webhook)
    return await lower(session, user_key, await affected(session, "mark_ids", ids))


async def last_place(session: Session, user_id: str) -> Place | NotCaughtUp | None:
    """The user's key and newest place, or None for a user with nothing."""
    behind = await behind_among(session, [user_id])
    if behind:
        return NotCaughtUp(behind)
    return await row(session, "last_place", {"user_id": safe_id(user_id)}, kind=Place)


async def mark_oldest(
    session: Session, user_key: int, last_seq: int, *, limit: int, webhook: WebhookTerms, now: int
) -> int:
    """MarkSent the oldest `limit` unseen notifications up to `last_seq`; returns how many there were."""
    if await single_value(session, "live_user", {"user_key": user_key}) is None:
        return 0
    oldest = {"user_key": user_key, "last_seq": last_seq, "limit": limit, "now": now}
    await tell_seen(session, "unseen_ids_oldest", oldest, terms=webhook)
    return await lower(session, user_key, await affected(session, "mark_oldest", oldest))


async def withdraw(session: Session, user_id: str, notification_id: str, *, noted_at: int | None) -> bool:
    """See Store.withdraw. `noted_at`: when timelines are kept, the time of the note."""
    if noted_at is not None:
        await note_withdrawn(session, user_id, notification_id, now=noted_at)
    kept = await withdraw_kept(session, user_id, notification_id)
    return await take_back(session, user_id, notification_id, noted_at=noted_at) or kept


async def withdraw_kept(session: Session, user_id: str, notification_id: str) -> bool:
    """Remove a notification from the inbox; returns whether it was there."""
    notification = {"user_id": safe_id(user_id), "notification_id": safe_id(notification_id)}
    removed = await row(session, "delete_notification", notification, kind=Removed)
    if removed is None:
        return False
    await lower(session, removed.user_key, 1 if removed.seen_date is None else 0)
    return True


async def take_back(session: Session, user_id: str, notification_id: str, *, noted_at: int | None) -> bool:
    """Remove a notification that waits for its time; returns whether it waited."""
    notification = {"user_id": safe_id(user_id), "notification_id": safe_id(notification_id)}
    taken = await row(session, "delete_pending", notification, kind=Recalled)
    if taken is None:
        return False
    if noted_at is not None:
        await note(session, [taken.note(noted_at)])
    await end_group(session, taken.taken)
    return True


async def end_group(session: Session, taken: Taken) -> None:
    """End the group of a snoozed notification that waits no more, unless the notification came back."""
    if taken.group_key is not None:
        await affected(session, "end_group", taken._asdict())


async def lower(session: Session, user_key: int, count: int) -> int:
    """Lower the user's count by the rows that were unseen; returns `count`."""
    if count:
        await affected(session, "lower_unseen", {"user_keys": [user_key], "counts": [count]})
    return count


# ── users ─────────────────────────────────────────────────────────────────────────────────────────────


async def revoke(session: Session, user_id: str, device_id: str, *, now: int) -> int:
    """See Store.revoke."""
    number: int = (await single_column(session, "next_revocation", {}))[0]
    target = {"user_id": user_id, "device_id": device_id, "now": now}
    await affected(session, "insert_revocation", {**target, "revocation": number})
    return number


async def erase_user(session: Session, user_id: str, *, now: int) -> int | None:
    """Make the user invisible and revoked; returns the key whose rows are still to be removed."""
    await revoke(session, user_id, EVERY_DEVICE, now=now)
    await affected(session, "forget_acted_upon", {"user_id": user_id})
    user_key: int | None = await single_value(session, "delete_user", {"user_id": user_id})
    if user_key is not None:
        await affected(session, "insert_erased", {"user_key": user_key})
        await affected(session, "delete_user_devices", {"user_key": user_key})
        await affected(session, "delete_user_subscriptions", {"user_key": user_key})
        await affected(session, "delete_user_choices", {"user_key": user_key})
        await affected(session, "delete_webhook_user", {"user_key": user_key})
    return user_key


_ERASED = (
    "delete_erased_rows",
    "delete_erased_pending",
    "delete_erased_pushes",
    "delete_erased_groups",
    "delete_erased_members",
    "delete_erased_ids",
    "delete_erased_waiting",
    "delete_erased_events",
    "delete_erased_notes",
)


async def remove_erased(session: Session, user_key: int, *, limit: int) -> int:
    """Remove at most `limit` rows of an erased user; fewer than `limit` complete the erasure."""
    if await single_value(session, "lock_erased", {"user_key": user_key}) is None:
        return 0
    removed = 0
    for name in _ERASED:
        if removed < limit:
            removed += await affected(session, name, {"user_key": user_key, "limit": limit - removed})
    if removed < limit:
        await affected(session, "delete_erased", {"user_key": user_key})
        await affected(session, "forget_erased_pending", {"user_key": user_key})
    return removed


async def use_ticket(session: Session, ticket_id: str, expires_at: int) -> bool:
    """See Store.use_ticket."""
    used = {"ticket_id": ticket_id, "expires_at": expires_at}
    return await affected(session, "use_ticket", used) == 1


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────


async def newcomers(session: Session, *, visitors: Sequence[Visitor]) -> list[str]:
    """Those of `visitors` whom the store does not know, and who were not erased after the login."""
    user_ids, revocations = zip(*visitors, strict=True)
    return await single_column(session, "newcomers", {"user_ids": user_ids, "revocations": revocations})


async def long_away(session: Session, *, visitors: Sequence[Visitor], now: int) -> Found:
    """Those of `visitors` whose connection is the first of a day."""
    where = {"user_ids": [visitor.user_id for visitor in visitors], "today": now // DAY * DAY}
    return await tuples(session, "long_away", where)


async def renew_lease(
    session: Session,
    found: Found = (),
    *,
    node_id: str,
    until: int,
    presences: Sequence[Presence],
    visitors: Sequence[Visitor],
    now: int,
) -> NotCaughtUp | None:
    """See Store.renew_lease."""
    if visitors:
        asked = [visitor.user_id for visitor in visitors]
        behind = await visitors_behind(session, asked, today=now // DAY * DAY)
        if behind:
            return NotCaughtUp(behind)
    await affected(
        session,
        "hold_lease",
        {"node_id": node_id, "until": until, "release": release(), "code": SCHEMA_VERSION},
    )
    gone = [presence for presence in presences if presence.connections == 0]
    here = {(p.user_id, p.device_id): p for p in presences if p.connections > 0}
    if gone:
        await affected(session, "delete_gone", {"node_id": node_id, **_columns(gone)})
    if here:
        await affected(session, "put_presences", {"node_id": node_id, **_columns(sorted(here.values()))})
    if visitors:
        user_ids = [visitor.user_id for visitor in visitors]
        times = {"now": now, "today": now // DAY * DAY}
        await affected(session, "note_visitors", {"user_ids": user_ids, **times})
    return None


def _columns(presences: Sequence[Presence]) -> dict[str, object]:
    user_ids, device_ids, counts, since = zip(*presences, strict=True)
    return {"user_ids": user_ids, "device_ids": device_ids, "counts": counts, "since": since}


async def end_lease(session: Session, node_id: str) -> None:
    """See Store.end_lease."""
    await affected(session, "delete_presences", {"node_id": node_id})
    await affected(session, "delete_node", {"node_id": node_id})


# ── upkeep ────────────────────────────────────────────────────────────────────────────────────────────


async def expired(session: Session, *, limit: int, now: int) -> list[Place]:
    """The places of at most `limit` notifications whose time has passed."""
    return await rows(session, "expired", {"now": now, "limit": limit}, kind=Place)


async def expire(session: Session, places: Sequence[Place], *, noting: bool = False) -> frozenset[str]:
    """See Store.expire: remove the notifications at `places`; returns the users concerned.

    `noting`: timelines are kept.
    """
    if noting and places:
        await note_expired(session, places)
    asked = {"user_keys": [place.user_key for place in places], "seqs": [place.seq for place in places]}
    removed = await rows(session, "delete_expired", asked, kind=Removed)
    unseen = Counter({user_key: 0 for user_key, _ in removed})
    unseen.update(user_key for user_key, seen_date in removed if seen_date is None)
    lowered = {"user_keys": list(unseen), "counts": list(unseen.values())}
    return frozenset(await single_column(session, "lower_unseen", lowered))


async def prune_erased(session: Session, *, limit: int) -> int:
    """Remove at most `limit` rows of erased users; returns their number."""
    removed = 0
    while removed < limit:
        user_key: int | None = await single_value(session, "next_erased", {})
        if user_key is None:
            break
        removed += await remove_erased(session, user_key, limit=limit - removed)
    return removed + await _prune_pending(session, limit - removed)


async def _prune_pending(session: Session, limit: int) -> int:
    """Remove at most `limit` rows that waited for users whom older code erased; returns their number."""
    removed = 0
    while removed < limit:
        user_key: int | None = await single_value(session, "next_erased_pending", {})
        if user_key is None:
            break
        which = {"user_key": user_key, "limit": limit - removed}
        removed += await affected(session, "delete_erased_pending", which)
        if removed < limit:
            removed += await affected(session, "forget_erased_pending", which)
    return removed


class Pruned(NamedTuple):
    """How many rows were removed, and the users who lost notifications."""

    removed: int
    users: Sequence[str] = ()


async def prune(session: Session, *, seen_before: int | None, limit: int, now: int) -> Pruned:
    """The rest of Store.prune."""
    lapsed = {"now": now}
    old = {"revoked_before": now - DAY}
    used = {"expired_before": now - SKEW}
    parts: list[Callable[[int], Awaitable[int]]] = [
        partial(_prune, session, "prune_presences", condition=lapsed),
        partial(_prune, session, "prune_nodes", condition=lapsed),
        partial(_prune, session, "prune_revocations", condition=old),
        partial(_prune, session, "prune_tickets", condition=used),
    ]
    removed = 0
    for part in parts:
        removed += await part(limit - removed)
    seen = Pruned(0)
    if seen_before is not None and removed < limit:
        seen = await _prune_seen(session, seen_before, limit=limit - removed)
        removed += seen.removed
    return Pruned(removed + await _prune_groups(session, limit - removed), seen.users)


async def _prune_seen(session: Session, seen_before: int, *, limit: int) -> Pruned:
    old = {"seen_before": seen_before, "limit": limit}
    keys = await single_column(session, "prune_seen", old)
    return Pruned(len(keys), await single_column(session, "user_ids", {"user_keys": list(set(keys))}))


async def _prune(session: Session, name: str, limit: int, *, condition: dict[str, int]) -> int:
    return await affected(session, name, {**condition, "limit": limit}) if limit > 0 else 0


async def _prune_groups(session: Session, limit: int) -> int:
    """Remove at most `limit` rows of groups that ended; returns their number."""
    removed = 0
    while removed < limit:
        ended = await row(session, "next_ended_group", {}, kind=Ended)
        if ended is None:
            break
        for name in ("prune_group_members", "prune_group_ids"):
            if removed < limit:
                removed += await affected(session, name, {**ended._asdict(), "limit": limit - removed})
        if removed < limit:
            removed += await affected(session, "delete_ended_group", ended._asdict())
    return removed


async def offer_secret(session: Session, name: str, value: str) -> str:
    """Keep `value` as the secret of this name unless a secret is kept; returns the kept secret."""
    await affected(session, "offer_secret", {"name": name, "value": value})
    kept: str = (await single_column(session, "read_secret", {"name": name}))[0]
    return kept


async def probe(session: Session, *, room: int) -> None:
    """Learn whether writing works and finds `room` bytes, at least as many as a small request takes. The text
    differs each time, for pages that stay equal take no room.
    """
    await affected(session, "put_probe", {"value": token_hex(max(PROBE_BYTES, room) // 2 + 1)})
