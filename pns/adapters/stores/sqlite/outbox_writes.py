"""Writing the outbox: registering devices, claiming and settling pushes. An append enqueues.

Every function runs inside the writer's transaction, under its own savepoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec.structs import replace

from pns.adapters.stores.dismissed import DISMISSED_AT_ONCE, UntoldRow, tell
from pns.adapters.stores.due import DueRow, Owner, decide_all, keys_text
from pns.adapters.stores.sqlite.outbox_reads import found_devices
from pns.adapters.stores.sqlite.rows import affected, all_rows, json_array, row
from pns.adapters.stores.sqlite.telling import tell_removed
from pns.adapters.stores.webhooks import removed_device
from pns.contracts.outbox import Claim, Settlement
from pns.model.device import Device, address_hash, new_device_id
from pns.model.push import Push, PushState
from pns.model.webhook import WebhookTerms

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


def claim(connection: sqlite3.Connection, claim: Claim, *, now: int) -> list[Push]:
    """See Outbox.claim."""
    where = {"gateway": claim.gateway, "now": now, "limit": claim.limit}
    decided = decide_all(all_rows(connection, "due", where, kind=DueRow), claim, now)
    if leased := decided.leased:
        lease = {"asked": json_array([*leased.items()]), "until": claim.until, "now": now}
        affected(connection, "lease_push", lease)
    if dropped := decided.dropped:
        asked = json_array([(push_key, *decision) for push_key, decision in dropped.items()])
        affected(connection, "drop_push", {"asked": asked, "now": now})
    for push_key, gateway in decided.moved.items():
        affected(connection, "move_push", {"push_key": push_key, "gateway": gateway})
    for device_id, badge in decided.badges.items():
        affected(connection, "set_badge", {"device_id": device_id, "badge": badge})
    return decided.pushes


def settle(
    connection: sqlite3.Connection, settlements: Sequence[Settlement], *, webhook: WebhookTerms, now: int
) -> None:
    """See Outbox.settle."""
    invalid = [settlement for settlement in settlements if settlement.state is PushState.DEVICE_INVALID]
    gone = [settlement for settlement in invalid if _remove_dead(connection, settlement.push.device)]
    for settlement in gone:
        user_id = settlement.push.device.user_id
        tell_removed(connection, user_id, removed_device(settlement), terms=webhook, now=now)
    _keep_keys(connection, settlements)
    settled = [_unless_live(connection, settlement, now) for settlement in settlements]
    _accept(connection, [s for s in settled if s.state is PushState.ACCEPTED], now)
    _settle(connection, [s for s in settled if s.state is not PushState.ACCEPTED], now)
    if removed := [settlement.push.device.device_id for settlement in gone]:
        affected(connection, "cancel_pushes", {"device_ids": json_array(removed), "now": now})


def _remove_dead(connection: sqlite3.Connection, device: Device) -> bool:
    """Returns False for a device that is gone already, or was registered again."""
    return affected(connection, "delete_dead_device", _registration(device)) > 0


def _keep_keys(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    for settlement in settlements:
        if settlement.keys is not None:
            keys = {"keys": keys_text(settlement.keys)}
            affected(connection, "keep_keys", {**_registration(settlement.push.device), **keys})


def _registration(device: Device) -> dict[str, object]:
    return {
        "device_id": device.device_id,
        "user_id": device.user_id,
        "registered_at": device.registered_at,
    }


def _unless_live(connection: sqlite3.Connection, settlement: Settlement, now: int) -> Settlement:
    """A push to a device that was called dead, and was registered again since, is due at once."""
    if settlement.state is not PushState.DEVICE_INVALID:
        return settlement
    live = row(connection, "live_device", _registration(settlement.push.device), kind=tuple[int])
    return settlement if live is None else settlement._replace(state=PushState.RETRY, due_at=now)


def _accept(connection: sqlite3.Connection, settlements: Sequence[Settlement], now: int) -> None:
    if settlements:
        accepted = [(s.push.push_key, s.reason or None, s.provider_id) for s in settlements]
        affected(connection, "accept_push", {"asked": json_array(accepted), "now": now})


def _settle(connection: sqlite3.Connection, settlements: Sequence[Settlement], now: int) -> None:
    if settlements:
        asked = {"asked": json_array([_attempt(settlement) for settlement in settlements]), "now": now}
        for (counted,) in all_rows(connection, "settle_push", asked, kind=tuple[int | None]):
            if counted is not None:
                affected(connection, "uncount_push", {"push_key": counted})


def _attempt(settlement: Settlement) -> tuple[object, ...]:
    """What is written of an attempt that the network did not take."""
    push, reason = settlement.push, settlement.reason or None
    attempt = (push.push_key, push.attempt, settlement.state, reason, settlement.provider_id)
    return *attempt, settlement.due_at, int(not settlement.sent)


# ── seen elsewhere, upkeep ────────────────────────────────────────────────────────────────────────────


def dismiss(connection: sqlite3.Connection, user_id: str, expires_at: int, *, now: int) -> int:
    """See Outbox.dismiss."""
    asked = {"user_id": user_id, "limit": DISMISSED_AT_ONCE}
    told = tell(all_rows(connection, "untold", asked, kind=UntoldRow))
    if not told.words:
        return 0
    affected(connection, "tell_push", {"asked": json_array([*told.states.items()]), "now": now})
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
