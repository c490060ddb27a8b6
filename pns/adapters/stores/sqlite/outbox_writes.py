"""Writing the outbox: registering devices, enqueueing, claiming and settling pushes.

Every function runs inside the writer's transaction, under its own savepoint; enqueueing inside the append's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec.structs import replace

from pns.adapters.stores.dismissed import DISMISSED_AT_ONCE, UntoldRow, tell
from pns.adapters.stores.due import DueRow, Owner, decide_all, keys_text
from pns.adapters.stores.sqlite.outbox_reads import found_devices
from pns.adapters.stores.sqlite.rows import SQL, affected, all_rows, json_array, row
from pns.contracts.outbox import Claim, Settlement
from pns.model.device import Device, address_hash, new_device_id
from pns.model.push import Push, PushSchedule, PushState

# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


def register(connection: sqlite3.Connection, device: Device, *, now: int) -> Device:
    """See Outbox.register."""
    user_key = known_user(connection, device.user_id)
    columns = _columns(device, user_key)
    owner = row(connection, "owner", columns, kind=Owner)
    if owner is not None and owner.user_key == user_key:
        return _refreshed(connection, owner.device_id, columns)
    if owner is not None:
        _remove(connection, [owner.device_id], now=now)
    same = row(connection, "same_device", columns, kind=tuple[int])
    if same == (1,):
        return _refreshed(connection, device.device_id, columns)
    if same is not None:
        device = replace(device, device_id=new_device_id())
    affected(connection, "insert_device", _columns(device, user_key))
    return device


def _refreshed(connection: sqlite3.Connection, device_id: str, columns: dict[str, object]) -> Device:
    affected(connection, "refresh_device", {**columns, "device_id": device_id})
    affected(connection, "move_pushes", {"target": columns["gateway"], "device_ids": json_array([device_id])})
    return found_devices(connection, "device", {"device_id": device_id})[0]


def _columns(device: Device, user_key: int) -> dict[str, object]:
    return {
        **{name: getattr(device, name) for name in device.__struct_fields__},
        "user_key": user_key,
        "address_hash": address_hash(device.address),
        "keys": keys_text(device.keys),
    }


def known_user(connection: sqlite3.Connection, user_id: str) -> int:
    """The key of a user, who is made if need be."""
    affected(connection, "make_user", {"user_id": user_id})
    return all_rows(connection, "user_key", {"user_id": user_id}, kind=tuple[int])[0][0]


def _remove(connection: sqlite3.Connection, device_ids: Sequence[str], *, now: int) -> None:
    gone = {"device_ids": json_array(device_ids), "now": now}
    affected(connection, "delete_devices", gone)
    affected(connection, "cancel_pushes", gone)


def unregister(connection: sqlite3.Connection, user_id: str, device_id: str, *, now: int) -> Device | None:
    """See Outbox.unregister."""
    found = found_devices(connection, "device", {"device_id": device_id})
    if not found or found[0].user_id != user_id:
        return None
    _remove(connection, [device_id], now=now)
    return found[0]


def set_badge(connection: sqlite3.Connection, device_id: str, badge: int, *, user_id: str | None) -> bool:
    """See Outbox.set_badge."""
    asked = {"device_id": device_id, "badge": badge}
    if user_id is None:
        return affected(connection, "set_badge", asked) > 0
    return affected(connection, "set_badge_of", {**asked, "user_id": user_id}) > 0


def regateway(connection: sqlite3.Connection, source: str, target: str, *, network: str, limit: int) -> int:
    """See Outbox.regateway."""
    move = {"source": source, "target": target, "network": network, "limit": limit}
    moved = [device_id for (device_id,) in all_rows(connection, "regateway", move, kind=tuple[str])]
    affected(connection, "move_pushes", {"target": target, "device_ids": json_array(moved)})
    return len(moved)


# ── pushes ────────────────────────────────────────────────────────────────────────────────────────────


def enqueue(
    connection: sqlite3.Connection, places: Sequence[tuple[int, int]], *, terms: PushSchedule, now: int
) -> None:
    """Pushes to each user's devices; `places` has the user's key, and where their new notifications begin."""
    due_at = now + terms.delay
    new = {"now": now, "due_at": due_at, "expires_at": due_at + terms.lifetime}
    connection.executemany(
        SQL["enqueue"], [{"user_key": user_key, "first": first, **new} for user_key, first in places]
    )


def claim(connection: sqlite3.Connection, claim: Claim, *, now: int) -> list[Push]:
    """See Outbox.claim."""
    where = {"gateway": claim.gateway, "now": now, "limit": claim.limit}
    decided = decide_all(all_rows(connection, "due", where, kind=DueRow), claim, now)
    for push_key, badge in decided.leased.items():
        lease = {"push_key": push_key, "badge": badge, "until": claim.until, "now": now}
        affected(connection, "lease_push", lease)
    for push_key, (state, reason) in decided.dropped.items():
        affected(
            connection, "drop_push", {"push_key": push_key, "state": state, "reason": reason, "now": now}
        )
    for push_key, gateway in decided.moved.items():
        affected(connection, "move_push", {"push_key": push_key, "gateway": gateway})
    for device_id, badge in decided.badges.items():
        affected(connection, "set_badge", {"device_id": device_id, "badge": badge})
    return decided.pushes


def settle(connection: sqlite3.Connection, settlements: Sequence[Settlement], *, now: int) -> None:
    """See Outbox.settle."""
    removed = [s.push.device.device_id for s in settlements if _settle(connection, s, now)]
    if removed:
        affected(connection, "cancel_pushes", {"device_ids": json_array(removed), "now": now})


def _settle(connection: sqlite3.Connection, settlement: Settlement, now: int) -> bool:
    """Returns whether it removed the device."""
    push, state, due_at = settlement.push, settlement.state, settlement.due_at
    dead = {
        "device_id": push.device.device_id,
        "user_id": push.device.user_id,
        "registered_at": push.device.registered_at,
    }
    invalid = state is PushState.DEVICE_INVALID
    removed = invalid and affected(connection, "delete_dead_device", dead) > 0
    if invalid and not removed and row(connection, "live_device", dead, kind=tuple[int]) is not None:
        state, due_at = PushState.RETRY, now
    settled = {
        "push_key": push.push_key,
        "attempt": push.attempt,
        "state": state,
        "reason": settlement.reason or None,
        "provider_id": settlement.provider_id,
        "due_at": due_at,
        "unsent": int(not settlement.sent),
        "now": now,
    }
    changed = affected(connection, "accept_push" if state is PushState.ACCEPTED else "settle_push", settled)
    if changed and state is PushState.FAILED:
        affected(connection, "uncount_push", {"push_key": push.push_key})
    return removed


# ── seen elsewhere, upkeep ────────────────────────────────────────────────────────────────────────────


def dismiss(connection: sqlite3.Connection, user_id: str, expires_at: int, *, now: int) -> int:
    """See Outbox.dismiss."""
    asked = {"user_id": user_id, "limit": DISMISSED_AT_ONCE}
    told = tell(all_rows(connection, "untold", asked, kind=UntoldRow))
    for push_key, state in told.states.items():
        affected(connection, "tell_push", {"push_key": push_key, "state": state, "now": now})
    for device_id, count in told.counts.items():
        affected(connection, "lower_badge", {"device_id": device_id, "count": count, "user_id": user_id})
    enqueued = 0
    for device_id, ids in told.words:
        word = {"device_id": device_id, "dismissed": ids, "user_id": user_id}
        enqueued += affected(connection, "enqueue_dismissal", {**word, "expires_at": expires_at, "now": now})
    return enqueued


def prune(connection: sqlite3.Connection, *, settled_before: int, limit: int, now: int) -> int:
    """See Outbox.prune_pushes."""
    ended = all_rows(connection, "prune_devices", {"now": now, "limit": limit}, kind=tuple[str])
    if ended:
        gone = json_array([device_id for (device_id,) in ended])
        affected(connection, "cancel_pushes", {"device_ids": gone, "now": now})
    if len(ended) == limit:
        return limit
    left = {"settled_before": settled_before, "limit": limit - len(ended)}
    return len(ended) + affected(connection, "prune_pushes", left)
