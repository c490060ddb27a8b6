"""Devices at push networks and pushes, as the application sees and changes them."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from pns.device import Device, Registration
from pns.errors import Invalid, NotFound
from pns.node import Node
from pns.push import PushState, PushStatus
from pns.timestamp import Timestamp, format_timestamp
from pns.web.application import answer
from pns.web.application_calls import READING_BODY, Count
from pns.web.authorization import Authorization
from pns.web.body import decode, name, path_user_id, query, read_body
from pns.web.contract.operation import APPLICATION, STORE, USER, Answer, Operation
from pns.web.installations import (
    MAX_BODY_BYTES,
    NO_DEVICE,
    REGISTRATION,
    Registered,
    registered,
)
from pns.web.routing import Route


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


class PseudoUser(Registered, frozen=True, kw_only=True):
    """The user who was made for this device, the same one each time; notify them as any other."""

    user_id: str


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


_DEVICES = Operation(
    caller="application",
    answers=(Answer(200, "The user's devices.", body=UserDevices),),
    problems=USER,
)
_INSTALL = Operation(
    caller="application",
    body=Registration,
    answers=(Answer(201, "Registered, or registered again.", body=Registered),),
    problems=(*USER, *READING_BODY),
)
_UNINSTALL = Operation(
    caller="application",
    answers=(Answer(204, "Removed: nothing is pushed there any more."),),
    problems=USER,
)
_PSEUDO = Operation(
    caller="application",
    body=Registration,
    answers=(Answer(201, "A user for this device alone.", body=PseudoUser),),
    problems=(*APPLICATION, *READING_BODY, Invalid, *STORE),
)
_PUSHES = Operation(
    caller="application",
    answers=(Answer(200, "The pushes, oldest first.", body=Pushes),),
    problems=USER,
)


class PushEndpoints:
    """What the application may ask of push."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization
        self._registrar = node.pushing.registrar

    @property
    def routes(self) -> list[Route]:
        route, user = self._authorization.route, "/users/{user_id}"
        return [
            route("GET", f"{user}/devices", self.devices, _DEVICES),
            route("POST", f"{user}/devices", self.install_for_user, _INSTALL),
            route("DELETE", f"{user}/devices/{{device_id}}", self.uninstall_for_user, _UNINSTALL),
            route("POST", "/pseudo_users", self.pseudo_user, _PSEUDO),
            route("GET", f"{user}/notifications/{{notification_id}}/pushes", self.pushes, _PUSHES),
        ]

    async def devices(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's devices at push networks."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        connected = {
            presence.device_id: presence.connections
            for presence in await self._node.presence.devices(user_id)
        }
        found = await self._node.store.outbox.devices(user_id)
        return answer(UserDevices([shown(device, connected.get(device.device_id, 0)) for device in found]))

    async def install_for_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Register a device on the user's behalf."""
        user_id = path_user_id(parameters["user_id"])
        registration = decode(await read_body(request, MAX_BODY_BYTES), REGISTRATION)
        return registered(await self._registrar.install(user_id, registration))

    async def uninstall_for_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a device of the user."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        if not await self._registrar.uninstall(user_id, name("device_id", parameters["device_id"])):
            raise NotFound(NO_DEVICE)
        return answer(None, status=204)

    async def pseudo_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Register a device whose app knows no logins; its user is made here."""
        registration = decode(await read_body(request, MAX_BODY_BYTES), REGISTRATION)
        device, reply = await self._registrar.install_pseudo(registration)
        told = {"mqtt": dict(reply)} if reply else {}
        return answer(PseudoUser(device_id=device.device_id, user_id=device.user_id, **told), status=201)

    async def pushes(self, request: Request, parameters: dict[str, str]) -> Response:
        """What became of a notification's pushes."""
        user_id = path_user_id(parameters["user_id"])
        query(request, ())
        notification_id = name("notification_id", parameters["notification_id"])
        found = await self._node.store.outbox.pushes(user_id, notification_id)
        return answer(Pushes([_item(push) for push in found]))


def shown(device: Device, connections: int) -> InstalledDevice:
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
