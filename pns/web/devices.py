"""The endpoints of devices: POST /subscribe says whether one may connect, GET opens the connection.

Both run the same check: the Origin first, then the application's word. Neither reads anything of the
device's request but its headers.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pns.admission import first_device_id
from pns.authorities.forwarding import forwarded_headers
from pns.authority import Credentials, DeviceAuthority
from pns.delivery import Connection
from pns.errors import Problem, TooManyConnections, UpgradeRequired
from pns.messages import SUBPROTOCOL, CloseCode
from pns.node import Node
from pns.store import State
from pns.web.application import answer
from pns.web.cookie import DeviceCookie
from pns.web.forwarding import Peer, peer_of
from pns.web.origin import check_origin, cors_headers, preflight_headers
from pns.web.problems import Headers, problem_response, refuse_websocket
from pns.web.routing import Route

log = logging.getLogger(__name__)

Known = tuple[str, str] | None
"""(device_id, user_id) of a device cookie that PNS signed."""


class Subscribed(Struct, frozen=True):
    """Yes, you may connect; a line without a message for 1.5 × heartbeat_seconds + 5 s is dead."""

    user_id: str
    device_id: str
    heartbeat_seconds: float


class DeviceEndpoints:
    """What a device may ask of a node. `cookie` makes the device cookie once the store can be read."""

    def __init__(self, node: Node, cookie: Callable[[], Awaitable[DeviceCookie]]) -> None:
        self._node = node
        self._cookie = cookie
        self._settings = node.settings

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", "/subscribe", self.subscribe),
            Route("GET", "/subscribe", self.upgrade_required),
            Route("OPTIONS", "/subscribe", self.preflight),
        ]

    # ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────

    async def subscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether this device may connect, and the device cookie."""
        cors: Headers = []
        try:
            peer, cors = self._checked(request.scope)
            self._node.check_open()
            cookie = await self._cookie()
            credentials, known = self._credentials(request.scope, peer, cookie)
            admitted = await self._node.admission.admit(credentials, known)
            if await self._node.crowded(admitted.user_id, new=1):
                raise TooManyConnections
        except Problem as problem:
            self._node.metrics.refusals.labels(problem.code).inc()
            return problem_response(problem, cors)
        seconds = self._settings.server.heartbeat_seconds
        response = answer(Subscribed(admitted.user_id, admitted.device_id, seconds))
        value = cookie.set_cookie(admitted.device_id, admitted.user_id, **_cookie_place(request.scope, peer))
        response.raw_headers.extend([*cors, (b"set-cookie", value)])
        return response

    async def upgrade_required(self, request: Request, parameters: dict[str, str]) -> Response:
        """A plain GET: this path opens a WebSocket."""
        response = problem_response(UpgradeRequired())
        response.raw_headers.append((b"upgrade", b"websocket"))
        return response

    async def preflight(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may ask. Nobody is logged in for it."""
        try:
            _, cors = self._checked(request.scope)
        except Problem as problem:
            self._node.metrics.refusals.labels(problem.code).inc()
            return problem_response(problem)
        response = answer(None, status=204)
        response.raw_headers.extend([*cors, *(preflight_headers() if cors else [])])
        return response

    # ── over a WebSocket ──────────────────────────────────────────────────────────────────────────────

    async def connect(
        self, scope: Scope, receive: Receive, send: Send, *, authority: DeviceAuthority | None = None
    ) -> None:
        """Serve one WebSocket until it ends. `authority`, if given, answers instead of the node's own."""
        cors: Headers = []
        try:
            peer, cors = self._checked(scope)
            self._node.check_open()
            cookie = await self._cookie()
            credentials, known = self._credentials(scope, peer, cookie)
            connection, state = await self._node.join(credentials, known, authority=authority)
        except Problem as problem:
            self._node.metrics.refusals.labels(problem.code).inc()
            await refuse_websocket(scope, send, problem, cors)
            return
        try:
            place = _cookie_place(scope, peer)
            value = cookie.set_cookie(connection.device_id, connection.user_id, **place)
            await self._accept(scope, receive, send, [*cors, (b"set-cookie", value)])
            await self._run(connection, state, scope, receive, send)
        finally:
            self._node.leave(connection)

    async def _accept(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        if scope.get("pns.accepted"):
            return
        await receive()
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})

    async def _run(
        self, connection: Connection, state: State, scope: Scope, receive: Receive, send: Send
    ) -> None:
        connection.plug_in(send, (scope.get("extensions") or {}).get("pns.socket"))
        if await self._node.crowded(connection.user_id):
            connection.end(CloseCode.TOO_MANY_CONNECTIONS)
        await connection.run(receive, state)

    # ── both ──────────────────────────────────────────────────────────────────────────────────────────

    def _checked(self, scope: Scope) -> tuple[Peer, Headers]:
        """The peer, and the CORS headers it is owed. Raises OriginNotAllowed."""
        peer = peer_of(scope, self._settings.server.trusted_proxies)
        origin = check_origin(scope["headers"], peer, self._settings.server.allowed_origins)
        return peer, cors_headers(origin) if origin else []

    def _credentials(self, scope: Scope, peer: Peer, cookie: DeviceCookie) -> tuple[Credentials, Known]:
        known = cookie.read([value for name, value in scope["headers"] if name == b"cookie"])
        credentials = Credentials(
            headers=forwarded_headers(
                scope["headers"],
                allow=self._settings.auth.forward_headers,
                cookie_name=self._settings.session.cookie_name,
            ),
            forwarded=(
                (b"x-forwarded-for", peer.address.encode()),
                (b"x-forwarded-proto", peer.scheme.encode()),
            ),
            device_id=first_device_id(known),
            request=HTTPConnection(scope),
        )
        return credentials, known


def _cookie_place(scope: Scope, peer: Peer) -> dict[str, str | bool]:
    return {"path": scope.get("root_path") or "/", "secure": peer.scheme == "https"}
