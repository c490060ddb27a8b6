"""Writing the outbox: registering devices, claiming and settling pushes. Enqueueing is a part of appending.

Every function runs inside the writer's transaction, after the locks of its Write; `found` are the rows of
`Write.find`. A claim locks no user, takes rows without a lock, and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from pns.adapters.stores.dismissed import DISMISSED_AT_ONCE, UntoldRow, tell
from pns.adapters.stores.due import DueRow, Owner, decide_all, keys_text
from pns.adapters.stores.postgres.outbox_reads import found_devices
from pns.adapters.stores.postgres.rows import (
    Session,
    affected,
    row,
    rows,
    safe_id,
    single_column,
    single_value,
)
from pns.adapters.stores.postgres.telling import tell_removed
from pns.adapters.stores.postgres.writes import Found
from pns.adapters.stores.webhooks import removed_device
from pns.contracts.outbox import Claim, Settlement
from pns.model.device import Device, address_hash, new_device_id
from pns.model.push import Push, PushState
from pns.model.webhook import WebhookTerms

# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


async def register(session: Session, found: Found, *, device: Device, now: int) -> Device:
    """See Outbox.register."""
    user_key: int = (await single_column(session, "user_key", {"user_id": device.user_id}))[0]
    columns = _columns(device, user_key)
    owner = await row(session, "owner", columns, kind=Owner)
    if owner is not None and owner.user_key == user_key:
        return await _refreshed(session, owner.device_id, columns)
    if owner is not None:
        await _remove(session, [owner.device_id], now=now)
    same: bool | None = await single_value(session, "same_device", columns)
    if same:
        return await _refreshed(session, device.device_id, columns)
    if same is not None:
        device = replace(device, device_id=new_device_id())
    await affected(session, "insert_device", _columns(device, user_key))
    return device


async def _refreshed(session: Session, device_id: str, columns: dict[str, object]) -> Device:
    await affected(session, "refresh_device", {**columns, "device_id": device_id})
    await affected(session, "move_pushes", {"target": columns["gateway"], "device_ids": [device_id]})
    return (await found_devices(session, "device", {"device_id": device_id}))[0]


def _columns(device: Device, user_key: int) -> dict[str, object]:
    return {
        **{name: getattr(device, name) for name in device.__struct_fields__},
        "user_key": user_key,
        "address_hash": address_hash(device.address),
        "keys": keys_text(device.keys),
    }


async def _remove(session: Session, device_ids: Sequence[str], *, now: int) -> None:
    await affected(session, "delete_devices", {"device_ids": device_ids})
    await affected(session, "cancel_pushes", {"device_ids": device_ids, "now": now})


async def unregister(session: Session, user_id: str, device_id: str, *, now: int) -> Device | None:
    """See Outbox.unregister."""
    found = await found_devices(session, "device", {"device_id": safe_id(device_id)})
    if not found or found[0].user_id != user_id:
        return None
    await _remove(session, [device_id], now=now)
    return found[0]


async def set_badge(
    session: Session, found: Found, *, device_id: str, badge: int, user_id: str | None
) -> bool:
    """See Outbox.set_badge."""
    asked = {"device_id": safe_id(device_id), "badge": badge}
    if user_id is None:
        return await affected(session, "set_badge", asked) > 0
    return await affected(session, "set_badge_of", {**asked, "user_id": safe_id(user_id)}) > 0


async def regateway(session: Session, found: Found, *, source: str, target: str, limit: int) -> int:
    """See Outbox.regateway. Found devices may be gone meanwhile, and others may be left."""
    move = {**_owned(found), "source": source, "target": target}
    moved = await single_column(session, "regateway", move)
    await affected(session, "move_pushes", {"target": target, "device_ids": moved})
    return limit if len(found) == limit else len(moved)


def _owned(found: Found) -> dict[str, object]:
    user_keys = [user_key for user_key, _ in found]
    return {"user_keys": user_keys, "device_ids": [device_id for _, device_id in found]}


# ── pushes ────────────────────────────────────────────────────────────────────────────────────────────


async def claim(session: Session, *, claim: Claim, now: int) -> list[Push]:
    """See Outbox.claim."""
    where = {"gateway": claim.gateway, "now": now, "limit": claim.limit}
    decided = decide_all(await rows(session, "due", where, kind=DueRow), claim, now)
    if leased := decided.leased:
        lease = {"push_keys": [*leased], "badges": [*leased.values()], "until": claim.until, "now": now}
        await affected(session, "lease_push", lease)
    if dropped := decided.dropped:
        states, reasons = zip(*dropped.values(), strict=True)
        drop = {"push_keys": [*dropped], "states": states, "reasons": reasons, "now": now}
        await affected(session, "drop_push", drop)
    if moved := decided.moved:
        await affected(session, "move_push", {"push_keys": [*moved], "gateways": [*moved.values()]})
    if counted := decided.badges:
        await affected(session, "count_badge", {"device_ids": [*counted], "badges": [*counted.values()]})
    return decided.pushes


async def settle(
    session: Session, *, settlements: Sequence[Settlement], webhook: WebhookTerms, now: int
) -> None:
    """See Outbox.settle."""
    invalid = [s.push.device for s in settlements if s.state is PushState.DEVICE_INVALID]
    removed, live = await _remove_dead(session, invalid)
    for settlement in settlements:
        device = settlement.push.device
        if settlement.state is PushState.DEVICE_INVALID and device.device_id in removed:
            told = removed_device(settlement)
            await tell_removed(session, device.user_id, told, terms=webhook, now=now)
    await _keep_keys(session, settlements)
    settled = [_unless_live(settlement, live, now) for settlement in settlements]
    await _accept(session, [s for s in settled if s.state is PushState.ACCEPTED], now)
    await _settle(session, [s for s in settled if s.state is not PushState.ACCEPTED], now)
    if removed:
        await affected(session, "cancel_pushes", {"device_ids": removed, "now": now})


async def _remove_dead(session: Session, devices: Sequence[Device]) -> tuple[list[str], set[str]]:
    """The removed ones of `devices`, and the ones that stay, for they were registered again."""
    if not devices:
        return [], set()
    dead = _registrations(devices)
    removed = await single_column(session, "delete_dead_device", dead)
    return removed, set(await single_column(session, "live_device", dead))


async def _keep_keys(session: Session, settlements: Sequence[Settlement]) -> None:
    learned = {s.push.device.device_id: s for s in settlements if s.keys is not None}
    if learned:
        devices = _registrations([s.push.device for s in learned.values()])
        keys = [keys_text(s.keys or {}) for s in learned.values()]
        await affected(session, "keep_keys", {**devices, "keys": keys})


def _registrations(devices: Sequence[Device]) -> dict[str, list[str] | list[int]]:
    return {
        "device_ids": [device.device_id for device in devices],
        "user_ids": [device.user_id for device in devices],
        "registered_at": [device.registered_at for device in devices],
    }


def _unless_live(settlement: Settlement, live: set[str], now: int) -> Settlement:
    if settlement.state is PushState.DEVICE_INVALID and settlement.push.device.device_id in live:
        return settlement._replace(state=PushState.RETRY, due_at=now)
    return settlement


async def _accept(session: Session, settlements: Sequence[Settlement], now: int) -> None:
    if settlements:
        await affected(session, "accept_push", {**_results(settlements), "now": now})


async def _settle(session: Session, settlements: Sequence[Settlement], now: int) -> None:
    if settlements:
        attempts = {
            "attempts": [settlement.push.attempt for settlement in settlements],
            "states": [settlement.state for settlement in settlements],
            "due_at": [settlement.due_at for settlement in settlements],
            "unsent": [int(not settlement.sent) for settlement in settlements],
        }
        settled = {**_results(settlements), **attempts, "now": now}
        counted = await single_column(session, "settle_push", settled)
        if failed := [push_key for push_key in counted if push_key is not None]:
            await affected(session, "uncount_push", {"push_keys": failed})


def _results(settlements: Sequence[Settlement]) -> dict[str, object]:
    return {
        "push_keys": [settlement.push.push_key for settlement in settlements],
        "reasons": [settlement.reason or None for settlement in settlements],
        "provider_ids": [settlement.provider_id for settlement in settlements],
    }


# ── seen elsewhere, upkeep ────────────────────────────────────────────────────────────────────────────


async def dismiss(session: Session, user_id: str, expires_at: int, *, now: int) -> int:
    """See Outbox.dismiss."""
    asked = {"user_id": safe_id(user_id), "limit": DISMISSED_AT_ONCE}
    told = tell(await rows(session, "untold", asked, kind=UntoldRow))
    if not told.words:
        return 0
    states = {"push_keys": [*told.states], "states": [*told.states.values()], "now": now}
    await affected(session, "tell_push", states)
    counts = {"device_ids": [*told.counts], "counts": [*told.counts.values()], "user_id": user_id}
    await affected(session, "lower_badge", counts)
    device_ids, dismissed = zip(*told.words, strict=True)
    words = {"device_ids": device_ids, "dismissed": dismissed, "user_id": user_id}
    return await affected(session, "enqueue_dismissal", {**words, "expires_at": expires_at, "now": now})


async def prune_devices(session: Session, found: Found, *, now: int) -> int:
    """Remove devices whose registration has ended; returns their number."""
    if not found:
        return 0
    ended = await single_column(session, "prune_devices", {**_owned(found), "now": now})
    await affected(session, "cancel_pushes", {"device_ids": ended, "now": now})
    return len(ended)


async def prune(session: Session, *, settled_before: int, limit: int) -> int:
    """The rest of Outbox.prune_pushes."""
    return await affected(session, "prune_pushes", {"settled_before": settled_before, "limit": limit})
