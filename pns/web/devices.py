"""Devices at push networks, as devices themselves register them: with the login of /subscribe.

The application's calls for the same devices stand in user_devices.py.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from pns.errors import Invalid, NotFound, OriginNotAllowed, RateLimited, Unavailable
from pns.inbox import given
from pns.model.answers import Registered
from pns.model.device import Registration
from pns.node import Node
from pns.web.body import query
from pns.web.contract.operation import DEVICE, Answer, Operation
from pns.web.entrance import DEVICES, Entrance, Turnstile
from pns.web.origin import sent_origin
from pns.web.problems import Headers
from pns.web.registrations import (
    MAX_BODY_BYTES,
    NO_DEVICE,
    read,
    read_registration,
)
from pns.web.routing import Route
from pns.web.subscribe import COOKIE, PREFLIGHT
from pns.web.user_schemas import READING_BODY
from pns.web.users import answer


class BadgeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The number on the device's icon now. PNS counts on from this number, for this device alone."""

    badge: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Networks(Struct, frozen=True):
    """The networks for which devices may register, each with the facts that an app needs to register."""

    networks: dict[str, dict[str, str]]


_BADGE = msgspec.json.Decoder(BadgeBody)

_NETWORKS = Operation(
    caller="anyone",
    answers=(Answer(200, "The networks.", body=Networks),),
    problems=(OriginNotAllowed, Invalid),
)
_INSTALL = Operation(
    caller="device",
    body=Registration,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(201, "Registered, or registered again.", body=Registered, may_have=COOKIE),),
    problems=(*DEVICE, *READING_BODY, Invalid, RateLimited, Unavailable),
)
_UNINSTALL = Operation(
    caller="device",
    answers=(Answer(204, "Removed: nothing is pushed there any more.", may_have=COOKIE),),
    problems=(*DEVICE, NotFound, Invalid, RateLimited),
)
_BADGE_SET = Operation(
    caller="device",
    body=BadgeBody,
    body_limit=MAX_BODY_BYTES,
    answers=(Answer(204, "Kept.", may_have=COOKIE),),
    problems=(*DEVICE, *READING_BODY, NotFound, Invalid, RateLimited),
)


class InstallationEndpoints:
    """Registering, removing, and the badge."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._entrance = entrance
        self._turnstile = Turnstile(node, entrance)
        self._registrar = node.pushing.registrar
        self._outbox = node.store.outbox

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
        """The push networks of this PNS, and the facts that an app needs to register there."""
        cors = self._entrance.check(request.scope)
        query(request, ())
        found: dict[str, dict[str, str]] = {
            network: dict(facts) for network, facts in sorted(self._registrar.networks.items())
        }
        return _with(answer(Networks(found)), cors)

    async def install(self, request: Request, parameters: dict[str, str]) -> Response:
        """Register this app or browser, so that pushes reach its user there. Do so at each start."""
        device, _, headers = await self._turnstile.enter(request.scope)
        registration = _of_page(await read_registration(request), request)
        installed = await self._registrar.register(device.user_id, registration, device.device_id)
        return _with(answer(installed.told, status=201), headers)

    async def uninstall(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a device of this user."""
        device, _, headers = await self._turnstile.enter(request.scope)
        query(request, ())
        device_id = given.name("device_id", parameters["device_id"])
        if not await self._registrar.unregister(device.user_id, device_id):
            raise NotFound(NO_DEVICE)
        return _with(answer(None, status=204), headers)

    async def set_badge(self, request: Request, parameters: dict[str, str]) -> Response:
        """Set the badge of a device of this user."""
        device, _, headers = await self._turnstile.enter(request.scope)
        device_id = given.name("device_id", parameters["device_id"])
        badge = (await read(request, _BADGE)).badge
        if not await self._outbox.set_badge(device_id, badge, user_id=device.user_id):
            raise NotFound(NO_DEVICE)
        return _with(answer(None, status=204), headers)

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
        return _with(answer(None, status=204), self._entrance.preflight(request.scope))


def _of_page(registration: Registration, request: Request) -> Registration:
    """The registration of the page that asks: a browser's word goes before the page's."""
    origin = sent_origin(request.scope["headers"])
    return replace(registration, origin=origin) if origin else registration


def _with(response: Response, headers: Headers) -> Response:
    response.raw_headers.extend(headers)
    return response
