"""Devices at push networks and pushes, as the application sees and changes them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pns.errors import NotFound
from pns.inbox import given
from pns.node import Node
from pns.web import push_schemas as calls
from pns.web.authorization import Authorization
from pns.web.body import query
from pns.web.registrations import NO_DEVICE, read_registration
from pns.web.routing import Route
from pns.web.users import answer


class PushEndpoints:
    """What the application may ask of push."""

    def __init__(self, node: Node, authorization: Authorization) -> None:
        self._node = node
        self._authorization = authorization
        self._registrar = node.pushing.registrar

    @property
    def routes(self) -> list[Route]:
        user = "/users/{user_id}"
        return self._authorization.guard(
            Route("GET", f"{user}/devices", self.devices, calls.DEVICES),
            Route("POST", f"{user}/devices", self.install_for_user, calls.INSTALL),
            Route("DELETE", f"{user}/devices/{{device_id}}", self.uninstall_for_user, calls.UNINSTALL),
            Route("POST", "/pseudo_users", self.pseudo_user, calls.PSEUDO_USER),
            Route("GET", f"{user}/notifications/{{notification_id}}/pushes", self.pushes, calls.PUSHES),
        )

    async def devices(self, request: Request, parameters: dict[str, str]) -> Response:
        """The user's devices at push networks."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        return answer(calls.UserDevices(await self._node.reading.devices(user_id)))

    async def install_for_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Register a device on the user's behalf."""
        user_id = given.user(parameters["user_id"])
        installed = await self._registrar.register(user_id, await read_registration(request))
        return answer(installed.told, status=201)

    async def uninstall_for_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Remove a device of the user."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        if not await self._registrar.unregister(user_id, given.name("device_id", parameters["device_id"])):
            raise NotFound(NO_DEVICE)
        return answer(None, status=204)

    async def pseudo_user(self, request: Request, parameters: dict[str, str]) -> Response:
        """Register a device whose app knows no logins; its user is made here."""
        installed = await self._registrar.register_pseudo(await read_registration(request))
        told = installed.told
        return answer(calls.PseudoUser(installed.device.user_id, told.device_id, told.mqtt), status=201)

    async def pushes(self, request: Request, parameters: dict[str, str]) -> Response:
        """What became of a notification's pushes."""
        user_id = given.user(parameters["user_id"])
        query(request, ())
        pushes = await self._node.reading.pushes(user_id, parameters["notification_id"])
        return answer(calls.Pushes(pushes))
