"""Writing, beside appending: marking as seen, removing, revoking, leases and upkeep.

Every function runs inside the writer's transaction, under its own savepoint. A function that changes or
removes an unseen row must lower the user's count. Triggers keep all other numbers; see migration 0004.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import NamedTuple

from pns.adapters.stores.later import Recalled, Taken
from pns.adapters.stores.schema import SCHEMA_VERSION
from pns.adapters.stores.sqlite.level import require_level, require_visitors
from pns.adapters.stores.sqlite.notes import note, note_expired, note_withdrawn
from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array, row
from pns.adapters.stores.sqlite.telling import tell_seen
from pns.contracts.store import EVERY_DEVICE, Place, Presence, Visitor
from pns.model.timestamp import DAY, MINUTE
from pns.model.webhook import WebhookTerms
from pns.runtime.release import release

SKEW = 5 * MINUTE
"""The most that the clocks of two nodes may differ. The record of a used ticket stays so much longer."""
PROBE_BYTES = 32_768


class Ended(NamedTuple):
    """A group whose notification is gone."""

    user_key: int
    group_key: int


class Removed(NamedTuple):
    """A notification that was removed, as far as its user's count needs it."""

    user_key: int
    seen_date: int | None


# ── seen and withdrawn ────────────────────────────────────────────────────────────────────────────────


def mark_places(
    connection: sqlite3.Connection, user_key: int, seqs: Sequence[int], *, webhook: WebhookTerms, now: int
) -> int:
    """See Store.mark_sent_seen."""
    if row(connection, "live_user", {"user_key": user_key}, kind=tuple[int]) is None:
        return 0
    places = {"user_key": user_key, "seqs": json_array(seqs), "now": now}
    tell_seen(connection, "unseen_ids_at", places, terms=webhook)
    return lower(connection, user_key, affected(connection, "mark_places", places))


def mark_ids(
    connection: sqlite3.Connection,
    user_id: str,
    notification_ids: Sequence[str],
    *,
    webhook: WebhookTerms,
    now: int,
) -> int:
    """See Store.mark_seen."""
    require_level(connection, [user_id])
    user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    if user is None:
        return 0
    possible = [id for id in notification_ids if "\0" not in id]  # json_each would cut it off there
    ids = {"user_key": user[0], "notification_ids": json_array(possible), "now": now}
    tell_seen(connection, "unseen_ids_named", ids, terms=webhook)
    return lower(connection, user[0], affected(connection, "mark_ids", ids))


def last_place(connection: sqlite3.Connection, user_id: str) -> Place | None:
    """The user's key and newest place, or None for a user with nothing."""
    require_level(connection, [user_id])
    return row(connection, "last_place", {"user_id": user_id}, kind=Place)


def mark_oldest(
    connection: sqlite3.Connection,
    user_key: int,
    last_seq: int,
    *,
    limit: int,
    webhook: WebhookTerms,
    now: int,
) -> int:
    """Mark the oldest `limit` unseen notifications up to `last_seq`; returns how many there were."""
    if row(connection, "live_user", {"user_key": user_key}, kind=tuple[int]) is None:
        return 0
    oldest = {"user_key": user_key, "last_seq": last_seq, "limit": limit, "now": now}
    tell_seen(connection, "unseen_ids_oldest", oldest, terms=webhook)
    return lower(connection, user_key, affected(connection, "mark_oldest", oldest))


def withdraw(
    connection: sqlite3.Connection, user_id: str, notification_id: str, *, noted_at: int | None
) -> bool:
    """See Store.withdraw. `noted_at`: when timelines are kept, the time of the note."""
    require_level(connection, [user_id])
    if noted_at is not None:
        note_withdrawn(connection, user_id, notification_id, now=noted_at)
    kept = withdraw_kept(connection, user_id, notification_id)
    return take_back(connection, user_id, notification_id, noted_at=noted_at) or kept


def withdraw_kept(connection: sqlite3.Connection, user_id: str, notification_id: str) -> bool:
    """Remove a notification from the inbox; returns whether it was there."""
    notification = {"user_id": user_id, "notification_id": notification_id}
    removed = row(connection, "delete_notification", notification, kind=Removed)
    if removed is None:
        return False
    lower(connection, removed.user_key, 1 if removed.seen_date is None else 0)
    return True


def take_back(
    connection: sqlite3.Connection, user_id: str, notification_id: str, *, noted_at: int | None
) -> bool:
    """Remove a notification that waits for its time; returns whether it waited."""
    notification = {"user_id": user_id, "notification_id": notification_id}
    taken = row(connection, "delete_pending", notification, kind=Recalled)
    if taken is None:
        return False
    if noted_at is not None:
        note(connection, [taken.note(noted_at)])
    end_group(connection, taken.taken)
    return True


def end_group(connection: sqlite3.Connection, taken: Taken) -> None:
    """End the group of a snoozed notification that waits no more, unless the notification came back."""
    if taken.group_key is not None:
        affected(connection, "end_group", taken._asdict())


def lower(connection: sqlite3.Connection, user_key: int, count: int) -> int:
    """Lower the user's count by the rows that were unseen; returns `count`."""
    if count:
        all_rows(connection, "lower_unseen", {"user_key": user_key, "count": count}, kind=tuple[str])
    return count


def touch(connection: sqlite3.Connection, user_key: int) -> None:
    """Raise the version of a user of whom something changed beside the count."""
    affected(connection, "touch_user", {"user_key": user_key})


# ── users ─────────────────────────────────────────────────────────────────────────────────────────────


def revoke(connection: sqlite3.Connection, user_id: str, device_id: str, *, now: int) -> int:
    """See Store.revoke."""
    target = {"user_id": user_id, "device_id": device_id}
    affected(connection, "delete_revocation", target)
    return all_rows(connection, "insert_revocation", {**target, "now": now}, kind=tuple[int])[0][0]


def erase_user(connection: sqlite3.Connection, user_id: str, *, now: int) -> int | None:
    """Make the user invisible and revoked; returns the key whose rows are still to be removed."""
    revoke(connection, user_id, EVERY_DEVICE, now=now)
    affected(connection, "forget_acted_upon", {"user_id": user_id})
    user = row(connection, "delete_user", {"user_id": user_id}, kind=tuple[int])
    if user is None:
        return None
    affected(connection, "insert_erased", {"user_key": user[0]})
    affected(connection, "delete_user_devices", {"user_key": user[0]})
    affected(connection, "delete_user_subscriptions", {"user_key": user[0]})
    affected(connection, "delete_user_choices", {"user_key": user[0]})
    affected(connection, "delete_webhook_user", {"user_key": user[0]})
    return user[0]


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


def remove_erased(connection: sqlite3.Connection, user_key: int, *, limit: int) -> int:
    """Remove at most `limit` rows of an erased user; fewer than `limit` complete the erasure."""
    removed = 0
    for name in _ERASED:
        if removed < limit:
            removed += affected(connection, name, {"user_key": user_key, "limit": limit - removed})
    if removed < limit:
        affected(connection, "delete_erased", {"user_key": user_key})
        affected(connection, "forget_erased_pending", {"user_key": user_key})
    return removed


def use_ticket(connection: sqlite3.Connection, ticket_id: str, expires_at: int) -> bool:
    """See Store.use_ticket."""
    used = {"ticket_id": ticket_id, "expires_at": expires_at}
    return affected(connection, "use_ticket", used) == 1


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────


def renew_lease(
    connection: sqlite3.Connection,
    node_id: str,
    until: int,
    *,
    presences: Sequence[Presence],
    visitors: Sequence[Visitor],
    now: int,
) -> None:
    """See Store.renew_lease."""
    require_visitors(connection, [v.user_id for v in visitors], today=now // DAY * DAY)
    affected(
        connection,
        "hold_lease",
        {"node_id": node_id, "until": until, "release": release(), "code": SCHEMA_VERSION},
    )
    gone = [(node_id, p.user_id, p.device_id) for p in presences if p.connections == 0]
    here = [(node_id, *presence) for presence in presences if presence.connections > 0]
    connection.executemany(SQL["delete_presence"], gone)
    connection.executemany(SQL["put_presence"], here)
    connection.executemany(SQL["make_visitor"], [visitor._asdict() for visitor in visitors])
    times = {"now": now, "today": now // DAY * DAY}
    connection.executemany(SQL["note_visitor"], [{"user_id": v.user_id, **times} for v in visitors])


def end_lease(connection: sqlite3.Connection, node_id: str) -> None:
    """See Store.end_lease."""
    affected(connection, "delete_presences", {"node_id": node_id})
    affected(connection, "delete_node", {"node_id": node_id})


# ── upkeep ────────────────────────────────────────────────────────────────────────────────────────────


def expire(connection: sqlite3.Connection, *, limit: int, now: int, noting: bool = False) -> frozenset[str]:
    """See Store.expire. `noting`: timelines are kept."""
    if noting:
        note_expired(connection, limit=limit, now=now)
    removed = all_rows(connection, "delete_expired", {"now": now, "limit": limit}, kind=Removed)
    unseen = Counter({user_key: 0 for user_key, _ in removed})
    unseen.update(user_key for user_key, seen_date in removed if seen_date is None)
    users: set[str] = set()
    for user_key, count in unseen.items():
        lowered = {"user_key": user_key, "count": count}
        users.update(user_id for (user_id,) in all_rows(connection, "lower_unseen", lowered, kind=tuple[str]))
    return frozenset(users)


class Pruned(NamedTuple):
    """How many rows were removed, and the users who lost notifications."""

    removed: int
    users: Sequence[str] = ()


def prune(connection: sqlite3.Connection, *, seen_before: int | None, limit: int, now: int) -> Pruned:
    """See Store.prune."""
    lapsed = {"now": now}
    old = {"revoked_before": now - DAY}
    used = {"expired_before": now - SKEW}
    parts: list[Callable[[int], int]] = [
        partial(_prune_erased, connection),
        partial(_prune_pending, connection),
        partial(_prune, connection, "prune_presences", condition=lapsed),
        partial(_prune, connection, "prune_nodes", condition=lapsed),
        partial(_prune, connection, "prune_revocations", condition=old),
        partial(_prune, connection, "prune_tickets", condition=used),
    ]
    removed = 0
    for part in parts:
        removed += part(limit - removed)
    seen = Pruned(0)
    if seen_before is not None and removed < limit:
        seen = _prune_seen(connection, seen_before, limit=limit - removed)
        removed += seen.removed
    return Pruned(removed + _prune_groups(connection, limit - removed), seen.users)


def _prune_seen(connection: sqlite3.Connection, seen_before: int, *, limit: int) -> Pruned:
    old = {"seen_before": seen_before, "limit": limit}
    keys = [user_key for (user_key,) in all_rows(connection, "prune_seen", old, kind=tuple[int])]
    users = all_rows(connection, "user_ids", {"user_keys": json_array(set(keys))}, kind=tuple[str])
    return Pruned(len(keys), [user_id for (user_id,) in users])


def _prune(connection: sqlite3.Connection, name: str, limit: int, *, condition: dict[str, int]) -> int:
    return affected(connection, name, {**condition, "limit": limit}) if limit > 0 else 0


def _prune_erased(connection: sqlite3.Connection, limit: int) -> int:
    removed = 0
    while removed < limit:
        erased = row(connection, "next_erased", (), kind=tuple[int])
        if erased is None:
            break
        removed += remove_erased(connection, erased[0], limit=limit - removed)
    return removed


def _prune_pending(connection: sqlite3.Connection, limit: int) -> int:
    """Remove at most `limit` rows that waited for users whom older code erased; returns their number."""
    removed = 0
    while removed < limit:
        erased = row(connection, "next_erased_pending", (), kind=tuple[int])
        if erased is None:
            break
        which = {"user_key": erased[0], "limit": limit - removed}
        removed += affected(connection, "delete_erased_pending", which)
        if removed < limit:
            removed += affected(connection, "forget_erased_pending", which)
    return removed


def _prune_groups(connection: sqlite3.Connection, limit: int) -> int:
    """Remove at most `limit` rows of groups that ended; returns their number."""
    removed = 0
    while removed < limit:
        ended = row(connection, "next_ended_group", (), kind=Ended)
        if ended is None:
            break
        for name in ("prune_group_members", "prune_group_ids"):
            if removed < limit:
                removed += affected(connection, name, {**ended._asdict(), "limit": limit - removed})
        if removed < limit:
            removed += affected(connection, "delete_ended_group", ended._asdict())
    return removed


def offer_secret(connection: sqlite3.Connection, name: str, value: str) -> str:
    """Keep `value` as the secret of this name unless a secret is kept; returns the kept secret."""
    affected(connection, "offer_secret", {"name": name, "value": value})
    return all_rows(connection, "read_secret", {"name": name}, kind=tuple[str])[0][0]


def probe(connection: sqlite3.Connection, *, room: int) -> None:
    """Learn whether writing works and finds `room` bytes, at least as many as a small request takes. The text
    differs each time, for pages that stay equal take no room.
    """
    affected(connection, "put_probe", {"value": token_hex(max(PROBE_BYTES, room) // 2 + 1)})
