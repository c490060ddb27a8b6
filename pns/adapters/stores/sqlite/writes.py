"""Writing, beside appending: marking as seen, removing, revoking, leases and upkeep.

Every function runs inside the writer's transaction, under its own savepoint. A function that changes or
removes an unseen row must lower the user's count.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import NamedTuple

from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array, row
from pns.contracts.store import EVERY_DEVICE, Place, Presence
from pns.model.timestamp import DAY, MINUTE

SKEW = 5 * MINUTE
"""The most that the clocks of two nodes may differ. The record of a used ticket stays so much longer."""
PROBE_BYTES = 32_768


class Removed(NamedTuple):
    """A notification that was removed, as far as its user's count needs it."""

    user_key: int
    seen_date: int | None


# ── seen and withdrawn ────────────────────────────────────────────────────────────────────────────────


def mark_places(connection: sqlite3.Connection, user_key: int, seqs: Sequence[int], *, now: int) -> int:
    """See Store.mark_sent_seen."""
    if row(connection, "live_user", {"user_key": user_key}, kind=tuple[int]) is None:
        return 0
    places = {"user_key": user_key, "seqs": json_array(seqs), "now": now}
    return _lower(connection, user_key, affected(connection, "mark_places", places))


def mark_ids(
    connection: sqlite3.Connection, user_id: str, notification_ids: Sequence[str], *, now: int
) -> int:
    """See Store.mark_seen."""
    user = row(connection, "user_key", {"user_id": user_id}, kind=tuple[int])
    if user is None:
        return 0
    possible = [id for id in notification_ids if "\0" not in id]  # json_each would cut it off there
    ids = {"user_key": user[0], "notification_ids": json_array(possible), "now": now}
    return _lower(connection, user[0], affected(connection, "mark_ids", ids))


def last_place(connection: sqlite3.Connection, user_id: str) -> Place | None:
    """The user's key and newest place, or None for a user with nothing."""
    return row(connection, "last_place", {"user_id": user_id}, kind=Place)


def mark_oldest(connection: sqlite3.Connection, user_key: int, last_seq: int, *, limit: int, now: int) -> int:
    """Mark the oldest `limit` unseen notifications up to `last_seq`; returns how many there were."""
    if row(connection, "live_user", {"user_key": user_key}, kind=tuple[int]) is None:
        return 0
    oldest = {"user_key": user_key, "last_seq": last_seq, "limit": limit, "now": now}
    return _lower(connection, user_key, affected(connection, "mark_oldest", oldest))


def withdraw(connection: sqlite3.Connection, user_id: str, notification_id: str) -> bool:
    """See Store.withdraw."""
    notification = {"user_id": user_id, "notification_id": notification_id}
    removed = row(connection, "delete_notification", notification, kind=Removed)
    if removed is None:
        return False
    _lower(connection, removed.user_key, 1 if removed.seen_date is None else 0)
    return True


def _lower(connection: sqlite3.Connection, user_key: int, count: int) -> int:
    if count:
        all_rows(connection, "lower_unseen", {"user_key": user_key, "count": count}, kind=tuple[str])
    return count


# ── users ─────────────────────────────────────────────────────────────────────────────────────────────


def revoke(connection: sqlite3.Connection, user_id: str, device_id: str, *, now: int) -> int:
    """See Store.revoke."""
    target = {"user_id": user_id, "device_id": device_id}
    affected(connection, "delete_revocation", target)
    return all_rows(connection, "insert_revocation", {**target, "now": now}, kind=tuple[int])[0][0]


def erase_user(connection: sqlite3.Connection, user_id: str, *, now: int) -> int | None:
    """Make the user invisible and revoked; returns the key whose rows are still to be removed."""
    revoke(connection, user_id, EVERY_DEVICE, now=now)
    user = row(connection, "delete_user", {"user_id": user_id}, kind=tuple[int])
    if user is None:
        return None
    affected(connection, "insert_erased", {"user_key": user[0]})
    affected(connection, "delete_user_devices", {"user_key": user[0]})
    affected(connection, "delete_user_subscriptions", {"user_key": user[0]})
    return user[0]


def remove_erased(connection: sqlite3.Connection, user_key: int, *, limit: int) -> int:
    """Remove at most `limit` rows of an erased user; fewer than `limit` complete the erasure."""
    removed = 0
    for name in ("delete_erased_rows", "delete_erased_pushes"):
        if removed < limit:
            removed += affected(connection, name, {"user_key": user_key, "limit": limit - removed})
    if removed < limit:
        affected(connection, "delete_erased", {"user_key": user_key})
    return removed


def use_ticket(connection: sqlite3.Connection, ticket_id: str, expires_at: int) -> bool:
    """See Store.use_ticket."""
    used = {"ticket_id": ticket_id, "expires_at": expires_at}
    return affected(connection, "use_ticket", used) == 1


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────


def renew_lease(
    connection: sqlite3.Connection, node_id: str, until: int, *, presences: Sequence[Presence]
) -> None:
    """See Store.renew_lease."""
    affected(connection, "hold_lease", {"node_id": node_id, "until": until})
    gone = [(node_id, p.user_id, p.device_id) for p in presences if p.connections == 0]
    here = [(node_id, *presence) for presence in presences if presence.connections > 0]
    connection.executemany(SQL["delete_presence"], gone)
    connection.executemany(SQL["put_presence"], here)


def end_lease(connection: sqlite3.Connection, node_id: str) -> None:
    """See Store.end_lease."""
    affected(connection, "delete_presences", {"node_id": node_id})
    affected(connection, "delete_node", {"node_id": node_id})


# ── upkeep ────────────────────────────────────────────────────────────────────────────────────────────


def expire(connection: sqlite3.Connection, *, limit: int, now: int) -> frozenset[str]:
    """See Store.expire."""
    removed = all_rows(connection, "delete_expired", {"now": now, "limit": limit}, kind=Removed)
    unseen = Counter({user_key: 0 for user_key, _ in removed})
    unseen.update(user_key for user_key, seen_date in removed if seen_date is None)
    users: set[str] = set()
    for user_key, count in unseen.items():
        lowered = {"user_key": user_key, "count": count}
        users.update(user_id for (user_id,) in all_rows(connection, "lower_unseen", lowered, kind=tuple[str]))
    return frozenset(users)


def prune(connection: sqlite3.Connection, *, seen_before: int | None, limit: int, now: int) -> int:
    """See Store.prune."""
    lapsed = {"now": now}
    old = {"revoked_before": now - DAY}
    used = {"expired_before": now - SKEW}
    parts: list[Callable[[int], int]] = [
        partial(_prune_erased, connection),
        partial(_prune, connection, "prune_presences", condition=lapsed),
        partial(_prune, connection, "prune_nodes", condition=lapsed),
        partial(_prune, connection, "prune_revocations", condition=old),
        partial(_prune, connection, "prune_tickets", condition=used),
    ]
    if seen_before is not None:
        parts.append(partial(_prune, connection, "prune_seen", condition={"seen_before": seen_before}))
    removed = 0
    for part in parts:
        removed += part(limit - removed)
    return removed


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


def offer_secret(connection: sqlite3.Connection, name: str, value: str) -> str:
    """Keep `value` as the secret of this name unless a secret is kept; returns the kept secret."""
    affected(connection, "offer_secret", {"name": name, "value": value})
    return all_rows(connection, "read_secret", {"name": name}, kind=tuple[str])[0][0]


def probe(connection: sqlite3.Connection) -> None:
    """Learn whether writing works. Takes as much room as a small request: pages that stay equal take none."""
    affected(connection, "put_probe", {"value": token_hex(PROBE_BYTES // 2)})
