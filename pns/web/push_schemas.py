"""Calls that concern devices and pushes: the shape of each answer, and what the contract shows of them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from pns.errors import Invalid, Unavailable
from pns.model.device import Device, Registration
from pns.model.push import PushState, PushStatus
from pns.model.timestamp import Timestamp, format_timestamp
from pns.node import Node
from pns.web.body import name
from pns.web.contract.operation import APPLICATION, STORE, USER, Answer, Operation
from pns.web.registrations import MAX_BODY_BYTES, Registered
from pns.web.user_schemas import READING_BODY, Count


class InstalledDevice(Struct, frozen=True):
    """A device at a push network. `badge`: its own counter; null where it shows what is unseen."""

    device_id: str
    network: str
    gateway: str
    app: str
    environment: str
    platform: str
    badge: Count | None
    registered_at: Timestamp
    expires_at: Timestamp | None
    connections: Count


class UserDevices(Struct, frozen=True):
    """Oldest registration first."""

    devices: list[InstalledDevice]


class PseudoUser(Struct, frozen=True):
    """The user who was made for this device, the same one each time; notify them as any other."""

    user_id: str
    device_id: str
    mqtt: dict[str, Any] | UnsetType = UNSET


class PushItem(Struct, frozen=True):
    """A push to one device. `accepted` means that its network took it, not that it was delivered.

    `due_at`: of one that waits, when it is tried next. `provider_id`: how the network calls it.
    """

    device_id: str
    network: str
    gateway: str
    state: PushState
    attempts: Count
    reason: str | None
    provider_id: str | None
    due_at: Timestamp | None
    changed_at: Timestamp


class Pushes(Struct, frozen=True):
    pushes: list[PushItem]


DEVICES = Operation(
    caller="application",
    answers=(Answer(200, "The user's devices.", body=UserDevices),),
    problems=USER,
)
INSTALL = Operation(
    caller="application",
    body=Registration,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(201, "Registered, or registered again.", body=Registered),),
    problems=(*USER, *READING_BODY, Unavailable),
)
UNINSTALL = Operation(
    caller="application",
    answers=(Answer(204, "Removed: nothing is pushed there any more."),),
    problems=USER,
)
PSEUDO_USER = Operation(
    caller="application",
    body=Registration,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(201, "A user for this device alone.", body=PseudoUser),),
    problems=(*APPLICATION, *READING_BODY, Invalid, *STORE, Unavailable),
)
PUSHES = Operation(
    caller="application",
    answers=(Answer(200, "The pushes, by device.", body=Pushes),),
    problems=USER,
)


async def devices_of(node: Node, user_id: str) -> list[InstalledDevice]:
    """The user's devices at push networks, and how many connections each holds now."""
    connected = {found.device_id: found.connections for found in await node.presence.devices(user_id)}
    devices = await node.store.outbox.devices(user_id)
    return [_shown(device, connected.get(device.device_id, 0)) for device in devices]


async def pushes_of(node: Node, user_id: str, notification_id: str) -> list[PushItem]:
    """The pushes of one notification, by device. Raises Invalid."""
    found = await node.store.outbox.pushes(user_id, name("notification_id", notification_id))
    return [_item(push) for push in found]


def _shown(device: Device, connections: int) -> InstalledDevice:
    """A device without its address, which would let anybody push to it."""
    return InstalledDevice(
        device_id=device.device_id,
        network=device.network,
        gateway=device.gateway,
        app=device.app,
        environment=device.environment,
        platform=device.platform,
        badge=device.badge,
        registered_at=format_timestamp(device.registered_at),
        expires_at=_moment(device.expires_at),
        connections=connections,
    )


def _item(push: PushStatus) -> PushItem:
    return PushItem(
        device_id=push.device_id,
        network=push.network,
        gateway=push.gateway,
        state=push.state,
        attempts=push.attempts,
        reason=push.reason,
        provider_id=push.provider_id,
        due_at=_moment(push.due_at),
        changed_at=format_timestamp(push.changed_at),
    )


def _moment(at: int | None) -> Timestamp | None:
    return None if at is None else format_timestamp(at)
