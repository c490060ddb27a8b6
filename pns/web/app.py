"""PNS as an ASGI application: finds the endpoint, and turns an endpoint's errors into answers.

The application has no lifespan of its own, so a host may mount it anywhere. The owner enters the node.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pns.contracts.authority import ApplicationAuthority, DeviceAuthority
from pns.errors import NotFound, NotStarted, Problem
from pns.model.role import Role
from pns.node import Node
from pns.runtime.release import release
from pns.web.audiences import AudienceEndpoints
from pns.web.authorization import Authorization
from pns.web.browser import BrowserFiles
from pns.web.categories import CategoryEndpoints
from pns.web.contract.endpoints import ContractEndpoints
from pns.web.cookie import DeviceCookie
from pns.web.devices import InstallationEndpoints
from pns.web.entrance import SUBSCRIBE, Entrance
from pns.web.genero import TokenMaintainer, is_addressed
from pns.web.operations import Exposition, OperatorEndpoints
from pns.web.operator import pages as operator_pages
from pns.web.preferences import PreferenceEndpoints
from pns.web.problems import problem_response, refuse_websocket
from pns.web.routing import Endpoint, Route, Routes, encoded_path
from pns.web.single_message import MessageEndpoints
from pns.web.subscribe import DeviceEndpoints
from pns.web.tickets import Tickets
from pns.web.timeline import TimelineEndpoint
from pns.web.unsubscribe import UnsubscribeEndpoints
from pns.web.user_devices import PushEndpoints
from pns.web.users import ApplicationEndpoints
from pns.web.whole import announce

log = logging.getLogger(__name__)


class Web:
    """The endpoints of one node, relative to the mount point."""

    def __init__(
        self,
        node: Node,
        authority: ApplicationAuthority,
        *,
        exposition: Exposition | None = None,
        role: Role = "all",
    ) -> None:
        """`authority` decides about callers of the application's endpoints. /metrics shows `exposition`.

        A node of role "push" answers operators alone.
        """
        self._node = node
        self._role = role
        self._device_cookie: DeviceCookie | None = None
        self._signed_tickets: Tickets | None = None
        self._entrance = Entrance(node, self._cookie, self._tickets)
        self._devices = DeviceEndpoints(node, self._entrance)
        authorization = Authorization(authority)
        routes = OperatorEndpoints(node, authorization.check, exposition).routes
        if role != "push":
            routes = [*self._device_routes(), *self._application_routes(authorization), *routes]
        self.routes = Routes(routes)
        self._operator = None if role == "push" else operator_pages.OperatorPages(node, self._entrance)
        self._genero = TokenMaintainer(node) if node.settings.push.genero and role != "push" else None

    def _device_routes(self) -> list[Route]:
        return [
            *self._devices.routes,
            *MessageEndpoints(self._node, self._entrance).routes,
            *InstallationEndpoints(self._node, self._entrance).routes,
            *PreferenceEndpoints(self._node, self._entrance).routes,
            *UnsubscribeEndpoints(self._node).routes,
            *BrowserFiles(self._entrance, release()).routes,
        ]

    def _application_routes(self, authorization: Authorization) -> list[Route]:
        contract = ContractEndpoints(self._node.settings, lambda: self.routes.routes)
        return [
            *ApplicationEndpoints(self._node, authorization).routes,
            *PushEndpoints(self._node, authorization).routes,
            *AudienceEndpoints(self._node, authorization).routes,
            *CategoryEndpoints(self._node, authorization).routes,
            *TimelineEndpoint(self._node, authorization).routes,
            *contract.routes,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._node.started and not self._node.draining:
            raise NotStarted
        if scope["type"] == "http":
            response = await self._answer(Request(scope, receive))
            announce(response, scope)
            await response(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._open(scope, receive, send)

    async def connect(
        self, scope: Scope, receive: Receive, send: Send, *, authority: DeviceAuthority | None = None
    ) -> None:
        """Serve a WebSocket, routed by any means, until the connection ends."""
        await self._devices.connect(scope, receive, send, authority=authority)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        if encoded_path(scope) == SUBSCRIBE and self._role != "push":
            await self.connect(scope, receive, send)
        else:
            await refuse_websocket(scope, send, NotFound())

    async def _answer(self, request: Request) -> Response:
        try:
            endpoint, parameters = self._find(request.method, encoded_path(request.scope))
            return await endpoint(request, parameters)
        except Problem as problem:
            self._node.metrics.refusals.labels(problem.code).inc()
            self._entrance.tell(problem)
            return problem_response(problem, extra=self._entrance.cors(request.scope))
        except Exception:
            log.exception("a request failed", extra={"method": request.method})
            failure = Problem("PNS failed; its log says why")
            return problem_response(failure, extra=self._entrance.cors(request.scope))

    def _find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Genero's addresses begin with anything, so they come last: they take none of PNS's own."""
        try:
            return self.routes.find(method, path)
        except NotFound:
            if self._operator is not None and operator_pages.is_addressed(path):
                return self._operator.answer, {}
            if self._genero is None or not is_addressed(path):
                raise
            return self._genero.answer, {}

    async def _cookie(self) -> DeviceCookie:
        if self._device_cookie is None:
            session = self._node.settings.session
            secret = await self._secret()
            self._device_cookie = DeviceCookie(secret, session.cookie_name, session.same_site)
        return self._device_cookie

    async def _tickets(self) -> Tickets:
        if self._signed_tickets is None:
            self._signed_tickets = Tickets(await self._secret(), self._node.clock)
        return self._signed_tickets

    async def _secret(self) -> str:
        return self._node.settings.session.secret or await self._node.store.secret()
