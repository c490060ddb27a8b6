"""Writing, beside appending: marking as seen, removing, revoking, leases and upkeep.

Every function runs inside the writer's transaction, after the locks of its Write. A function that changes or
removes an unseen row must lower the user's count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import Any, Generic, NamedTuple, TypeVar

from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    row,
    rows,
    safe_id,
    single_column,
    single_value,
)
from pns.contracts.store import EVERY_DEVICE, Place, Presence
from pns.model.timestamp import DAY, MINUTE

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
    the users of `makes`, which makes missing users, and the users of the rows that `find` returns. `run` has
    these rows as its second argument.

    `last`: the request locks no users and takes only rows without a lock. Requests that may wait come before.
    """

    run: Callable[..., Awaitable[T]]
    user_ids: tuple[str, ...] = ()
    user_keys: tuple[int, ...] = ()
    makes: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    find: Callable[[Session], Awaitable[Found]] | None = None
    erases: bool = False
    last: bool = False


class Removed(NamedTuple):
    """A notification that was removed, as far as its user's count needs it."""

    user_key: int
    seen_date: int | None


class MarkSent(NamedTuple):
    """One request to mark sent notifications; see Store.mark_sent_seen."""

    user_key: int
    seqs: Sequence[int]
    now: int


# ── seen and withdrawn ────────────────────────────────────────────────────────────────────────────────


async def mark_places(session: Session, marks: Sequence[MarkSent]) -> list[int]:
    """The number of rows that each of `marks` marked. Of two marks for one row, the first counts."""
    if not marks:
        return []
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


async def mark_ids(session: Session, user_id: str, notification_ids: Sequence[str], *, now: int) -> int:
    """See Store.mark_seen."""
    user_key = await single_value(session, "user_key", {"user_id": safe_id(user_id)})
    if user_key is None:
        return 0
    ids = {"user_key": user_key, "notification_ids": [*map(safe_id, notification_ids)], "now": now}
    return await _lower(session, user_key, await affected(session, "mark_ids", ids))


async def last_place(session: Session, user_id: str) -> Place | None:
    """The user's key and newest place, or None for a user with nothing."""
    return await row(session, "last_place", {"user_id": safe_id(user_id)}, kind=Place)


async def mark_oldest(session: Session, user_key: int, last_seq: int, *, limit: int, now: int) -> int:
    """MarkSent the oldest `limit` unseen notifications up to `last_seq`; returns how many there were."""
    if await single_value(session, "live_user", {"user_key": user_key}) is None:
        return 0
    oldest = {"user_key": user_key, "last_seq": last_seq, "limit": limit, "now": now}
    return await _lower(session, user_key, await affected(session, "mark_oldest", oldest))


async def withdraw(session: Session, user_id: str, notification_id: str) -> bool:
    """See Store.withdraw."""
    notification = {"user_id": safe_id(user_id), "notification_id": safe_id(notification_id)}
    removed = await row(session, "delete_notification", notification, kind=Removed)
    if removed is None:
        return False
    await _lower(session, removed.user_key, 1 if removed.seen_date is None else 0)
    return True


async def _lower(session: Session, user_key: int, count: int) -> int:
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
    user_key: int | None = await single_value(session, "delete_user", {"user_id": user_id})
    if user_key is not None:
        await affected(session, "insert_erased", {"user_key": user_key})
        await affected(session, "delete_user_devices", {"user_key": user_key})
        await affected(session, "delete_user_subscriptions", {"user_key": user_key})
    return user_key


async def remove_erased(session: Session, user_key: int, *, limit: int) -> int:
    """Remove at most `limit` rows of an erased user; fewer than `limit` complete the erasure."""
    if await single_value(session, "lock_erased", {"user_key": user_key}) is None:
        return 0
    removed = 0
    for name in ("delete_erased_rows", "delete_erased_pushes"):
        if removed < limit:
            removed += await affected(session, name, {"user_key": user_key, "limit": limit - removed})
    if removed < limit:
        await affected(session, "delete_erased", {"user_key": user_key})
    return removed


async def use_ticket(session: Session, ticket_id: str, expires_at: int) -> bool:
    """See Store.use_ticket."""
    used = {"ticket_id": ticket_id, "expires_at": expires_at}
    return await affected(session, "use_ticket", used) == 1


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────


async def renew_lease(session: Session, node_id: str, until: int, *, presences: Sequence[Presence]) -> None:
    """See Store.renew_lease."""
    await affected(session, "hold_lease", {"node_id": node_id, "until": until})
    gone = [presence for presence in presences if presence.connections == 0]
    here = {(p.user_id, p.device_id): p for p in presences if p.connections > 0}
    if gone:
        await affected(session, "delete_gone", {"node_id": node_id, **_columns(gone)})
    if here:
        await affected(session, "put_presences", {"node_id": node_id, **_columns(sorted(here.values()))})


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


async def expire(session: Session, places: Sequence[Place]) -> frozenset[str]:
    """See Store.expire: remove the notifications at `places`; returns the users concerned."""
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
    return removed


async def prune(session: Session, *, seen_before: int | None, limit: int, now: int) -> int:
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
    if seen_before is not None:
        parts.append(partial(_prune, session, "prune_seen", condition={"seen_before": seen_before}))
    removed = 0
    for part in parts:
        removed += await part(limit - removed)
    return removed


async def _prune(session: Session, name: str, limit: int, *, condition: dict[str, int]) -> int:
    return await affected(session, name, {**condition, "limit": limit}) if limit > 0 else 0


async def offer_secret(session: Session, name: str, value: str) -> str:
    """Keep `value` as the secret of this name unless a secret is kept; returns the kept secret."""
    await affected(session, "offer_secret", {"name": name, "value": value})
    kept: str = (await single_column(session, "read_secret", {"name": name}))[0]
    return kept


async def probe(session: Session) -> None:
    """Learn whether writing works. Takes as much room as a small request: pages that stay equal take none."""
    await affected(session, "put_probe", {"value": token_hex(PROBE_BYTES // 2)})
