"""Devices at push networks, as devices themselves register them: with the login of /subscribe.

What the application may do with them stands in pushes.py.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from pns.allowance import Allowances
from pns.conversation import BURST
from pns.device import Registration
from pns.errors import Draining, Invalid, NotFound, RateLimited
from pns.node import Node
from pns.registrar import Installed
from pns.web.application import answer
from pns.web.application_calls import READING_BODY
from pns.web.body import decode, name, read_body
from pns.web.contract.operation import DEVICE, Answer, Operation
from pns.web.devices import COOKIE, PREFLIGHT
from pns.web.entrance import DEVICES, Entered, Entrance
from pns.web.routing import Route

MAX_BODY_BYTES = 16_384


class Registered(Struct, frozen=True):
    """`mqtt`: what an MQTT device needs to connect; told only here, and anew at each registration."""

    device_id: str
    mqtt: dict[str, Any] | UnsetType = UNSET


class BadgeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What the device's icon shows now. From then on PNS counts on from there, for this device alone."""

    badge: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Networks(Struct, frozen=True):
    """Each network that devices may be registered for, and what an app must know to do it."""

    networks: dict[str, dict[str, str]]


REGISTRATION = msgspec.json.Decoder(Registration)
_BADGE = msgspec.json.Decoder(BadgeBody)

_NETWORKS = Operation(caller="anyone", answers=(Answer(200, "The networks.", body=Networks),))
_INSTALL = Operation(
    caller="device",
    body=Registration,
    answers=(Answer(201, "Registered, or registered again.", body=Registered, headers=COOKIE),),
    problems=(*DEVICE, *READING_BODY, Invalid, RateLimited),
)
_UNINSTALL = Operation(
    caller="device",
    answers=(Answer(204, "Removed: nothing is pushed there any more."),),
    problems=(*DEVICE, NotFound, Invalid, RateLimited),
)
_BADGE_SET = Operation(
    caller="device",
    body=BadgeBody,
    answers=(Answer(204, "Kept."),),
    problems=(*DEVICE, *READING_BODY, NotFound, Invalid, RateLimited),
)


class InstallationEndpoints:
    """Registering, removing, and the badge."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._node = node
        self._entrance = entrance
        self._registrar = node.pushing.registrar
        self._allowances = Allowances(node.settings.limits.requests_per_second, burst=BURST)

    @property
    def routes(self) -> list[Route]:
        device = f"{DEVICES}/{{device_id}}"
        return [
            Route("GET", f"{DEVICES}/networks", self.networks, _NETWORKS),
            Route("POST", DEVICES, self.install, _INSTALL),
            Route("DELETE", device, self.uninstall, _UNINSTALL),
            Route("PUT", f"{device}/badge", self.set_badge, _BADGE_SET),
            Route("OPTIONS", DEVICES, self.preflight_install, PREFLIGHT),
            Route("OPTIONS", device, self.preflight_uninstall, PREFLIGHT),
            Route("OPTIONS", f"{device}/badge", self.preflight_badge, PREFLIGHT),
        ]

    async def networks(self, request: Request, parameters: dict[str, str]) -> Response:
        """The push networks of this PNS, and what an app must know to register there."""
        response = answer(Networks({network: dict(facts) for network, facts in self._facts()}))
        response.raw_headers.extend(self._entrance.check(request.scope))
        return response

    def _facts(self) -> list[tuple[str, dict[str, str]]]:
        return [(network, dict(facts)) for network, facts in sorted(self._registrar.networks.items())]

    async def install(self, request: Request, parameters: dict[str, str]) -> Response:
        """Register this app or browser, so that pushes reach its user there. Do it at each start."""
        entered = await self._enter(request)
        registration = decode(await read_body(request, MAX_BODY_BYTES), REGISTRATION)
        installed = await self._registrar.install(
            entered.device.user_id, registration, entered.device.device_id
        )
        return _with(registered(installed), entered)

    async def uninstall(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a device of this user."""
        entered = await self._enter(request)
        device_id = name("device_id", parameters["device_id"])
        if not await self._registrar.uninstall(entered.device.user_id, device_id):
            raise NotFound(NO_DEVICE)
        return _with(answer(None, status=204), entered)

    async def set_badge(self, request: Request, parameters: dict[str, str]) -> Response:
        """Set the badge of a device of this user."""
        entered = await self._enter(request)
        device_id = name("device_id", parameters["device_id"])
        badge = decode(await read_body(request, MAX_BODY_BYTES), _BADGE).badge
        outbox, user_id = self._node.store.outbox, entered.device.user_id
        if not await outbox.set_badge(device_id, badge, user_id=user_id):
            raise NotFound(NO_DEVICE)
        return _with(answer(None, status=204), entered)

    async def preflight_install(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may register."""
        return self._preflight(request)

    async def preflight_uninstall(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may remove a device."""
        return self._preflight(request)

    async def preflight_badge(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may set a badge."""
        return self._preflight(request)

    def _preflight(self, request: Request) -> Response:
        response = answer(None, status=204)
        response.raw_headers.extend(self._entrance.preflight(request.scope))
        return response

    async def _enter(self, request: Request) -> Entered:
        self._entrance.check(request.scope)
        if self._node.draining:
            raise Draining
        entered = await self._entrance.admit(request.scope)
        key = (entered.device.user_id, entered.device.device_id if entered.known else "")
        if not self._allowances.take(key, now=self._node.clock.monotonic()):
            raise RateLimited
        return entered


NO_DEVICE = "this user has no such device"


def registered(installed: Installed) -> Response:
    """The answer to a registration."""
    told: dict[str, Any] | UnsetType = dict(installed.reply) or UNSET
    return answer(Registered(installed.device.device_id, told), status=201)


def _with(response: Response, entered: Entered) -> Response:
    response.raw_headers.extend(entered.headers)
    return response
