"""Deciding about due pushes: the part of claiming that both engines share.

Knows no statement and touches no database. Rows take the columns of the statements by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pns.contracts.outbox import Claim
from pns.model.device import Device, Environment, Network
from pns.model.push import WAITING, Push, PushControls, PushState, PushStatus, StoredPush

_KEYS = msgspec.json.Decoder(dict[str, str])
_STORED = msgspec.json.Decoder(StoredPush)
_DISMISSED = msgspec.json.Decoder(tuple[str, ...])


class OwnedDeviceRow(Struct, frozen=True):
    """A device and its user as the statements select them."""

    device_id: str
    user_id: str
    network: str
    gateway: str
    address: str
    keys: str
    app: str
    environment: str
    platform: str
    badge: int | None
    registered_at: int
    expires_at: int | None


class DueRow(Struct, frozen=True):
    """A push that is due, with its device and its notification, whether its user is connected, and
    whether the user turned pushes of the category off.

    The columns of the device are None when the device is gone, and the notification's when it was removed.
    """

    push_key: int
    seq: int | None
    notification_id: str
    attempts: int
    push_expires_at: int
    push_badge: int | None
    dismissed: str | None
    device_id: str | None
    user_id: str | None
    network: str | None
    gateway: str | None
    address: str | None
    keys: str | None
    app: str | None
    environment: str | None
    platform: str | None
    badge: int | None
    registered_at: int | None
    expires_at: int | None
    unseen: int | None
    data: str | None
    create_date: int | None
    category: str | None
    collapse_key: str | None
    push: str | None
    seen_date: int | None
    expire_date: int | None
    connected: int
    turned_off: int


class Owner(NamedTuple):
    """A registration of an address: the device and the user's key."""

    device_id: str
    user_key: int


class StatusRow(Struct, frozen=True):
    """The state of a push. `kept`, `registered`: the notification and the device still exist."""

    device_id: str
    network: str
    gateway: str
    state: str
    attempts: int
    reason: str | None
    provider_id: str | None
    due_at: int
    changed_at: int
    kept: int
    seen_date: int | None
    registered: int


class Dropped(NamedTuple):
    """The push is not wanted any more."""

    state: PushState
    reason: str


class Moved(NamedTuple):
    """Another gateway reaches the device."""

    gateway: str


class Wanted(NamedTuple):
    """The push is to be sent. `counts`: the device counts for itself and is raised to the push's badge."""

    push: Push
    counts: bool


class Decided(NamedTuple):
    """The decisions about the pushes of a claim, by the keys of the pushes."""

    pushes: list[Push]
    """The pushes to send."""
    leased: dict[int, int | None]
    """The badge of every attempt; None: the unseen count at the attempt."""
    dropped: dict[int, Dropped]
    moved: dict[int, str]
    """The gateway of the device now."""
    badges: dict[str, int]
    """The new badges of devices with their own count, by device id: higher for a first attempt, lower for a
    counted push that is dropped."""


def decide_all(rows: Iterable[DueRow], claim: Claim, now: int) -> Decided:
    """The decisions about all rows of `claim`."""
    decided = Decided([], {}, {}, {}, {})
    for row in rows:
        if row.device_id in decided.badges:  # for another push of this very claim
            row = replace(row, badge=decided.badges[row.device_id])
        decision = decide(row, claim, now)
        if isinstance(decision, Dropped):
            decided.dropped[row.push_key] = decision
            if row.device_id is not None and row.badge is not None and row.push_badge is not None:
                decided.badges[row.device_id] = max(0, row.badge - 1)
        elif isinstance(decision, Moved):
            decided.moved[row.push_key] = decision.gateway
        else:
            decided.leased[row.push_key] = kept_badge(decision, row)
            decided.pushes.append(decision.push)
            if decision.counts:
                decided.badges[decision.push.device.device_id] = decision.push.badge
    return decided


def decide(row: DueRow, claim: Claim, now: int) -> Wanted | Dropped | Moved:
    """The decision about one row of `claim`."""
    dropped = _dropped(row, claim, now)
    if dropped is not None:
        return dropped
    device = device_of(cast(OwnedDeviceRow, row))  # the same columns, none of which is None here
    if device.gateway != claim.gateway:
        return Moved(device.gateway)
    try:
        stored = _STORED.decode(row.push) if row.push else StoredPush()
    except msgspec.DecodeError:  # of a newer release: it must not stop the others
        return Dropped(PushState.FAILED, "this release cannot read its control fields")
    if not enabled(stored.controls, device.network):
        return Dropped(PushState.CANCELLED, "not wanted on this network")
    counts = device.badge is not None and row.push_badge is None and row.seq is not None
    push = Push(
        push_key=row.push_key,
        device=device,
        attempt=row.attempts + 1,
        expires_at=row.push_expires_at,
        badge=_badge(row, raised=counts),
        notification_id=row.notification_id,
        notification_data=row.data or "",
        create_date=row.create_date or 0,
        category=row.category,
        collapse_key=row.collapse_key,
        controls=stored.controls,
        cause=stored.cause,
        dismissed=_DISMISSED.decode(row.dismissed) if row.dismissed else (),
    )
    return Wanted(push, counts)


def _dropped(row: DueRow, claim: Claim, now: int) -> Dropped | None:
    if row.device_id is None or row.user_id is None:
        return Dropped(PushState.CANCELLED, "the device is gone")
    if row.seq is not None and row.data is None:
        return Dropped(PushState.CANCELLED, "withdrawn")
    if row.seen_date is not None:
        return Dropped(PushState.CANCELLED, "seen")
    if row.push_expires_at <= now or (row.expire_date is not None and row.expire_date <= now):
        return Dropped(PushState.EXPIRED, "too late")
    if row.turned_off:
        return Dropped(PushState.CANCELLED, "turned off by the user")
    if claim.offline_only and row.connected and row.seq is not None:
        return Dropped(PushState.CANCELLED, "connected")
    return None


def _badge(row: DueRow, *, raised: bool) -> int:
    if row.push_badge is not None:
        return row.push_badge
    if row.badge is not None:
        return row.badge + raised
    return row.unseen or 0


def kept_badge(wanted: Wanted, row: DueRow) -> int | None:
    """The badge of every attempt of this push; None: the unseen count at the attempt."""
    return wanted.push.badge if wanted.counts else row.push_badge


def enabled(controls: PushControls, network: Network) -> bool:
    """Whether the application wants this push on this network."""
    own = controls.of(network)
    return controls.enabled and (own is None or own.enabled)


def device_of(row: OwnedDeviceRow) -> Device:
    """The device of a row."""
    return Device(
        device_id=row.device_id,
        user_id=row.user_id,
        network=cast(Network, row.network),
        gateway=row.gateway,
        address=row.address,
        keys=_KEYS.decode(row.keys),
        app=row.app,
        environment=cast(Environment, row.environment),
        platform=row.platform,
        badge=row.badge,
        registered_at=row.registered_at,
        expires_at=row.expires_at,
    )


def keys_text(keys: Mapping[str, str]) -> str:
    """`keys` as a row keeps them."""
    return msgspec.json.encode(dict(keys)).decode()


def status_of(row: StatusRow) -> PushStatus:
    """A push as the application sees the push. The inbox goes before the row."""
    state, reason = PushState(row.state), row.reason
    if state in WAITING and (not row.kept or row.seen_date is not None or not row.registered):
        reason = (
            "seen" if row.seen_date is not None else "withdrawn" if not row.kept else "the device is gone"
        )
        state = PushState.CANCELLED
    elif state is PushState.ACCEPTED and row.seen_date is not None:
        state = PushState.SEEN
    return PushStatus(
        row.device_id,
        row.network,
        row.gateway,
        state,
        row.attempts,
        reason,
        row.provider_id,
        row.due_at if state in WAITING else None,
        row.changed_at,
    )
