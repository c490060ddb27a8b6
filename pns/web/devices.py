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

from pns.admission import Admitted, first_device_id
from pns.authority import Credentials, DeviceAuthority
from pns.delivery import Connection
from pns.errors import OriginNotAllowed, Problem, TooManyConnections, Unavailable, UpgradeRequired
from pns.forwarding import forwarded_headers
from pns.messages import SUBPROTOCOL, CloseCode
from pns.node import Node
from pns.store import State
from pns.web.application import answer
from pns.web.contract.operation import DEVICE, Answer, Operation
from pns.web.cookie import DeviceCookie
from pns.web.origin import check_origin, cors_headers, preflight_headers
from pns.web.peer import Peer, TrustedProxies
from pns.web.problems import Headers, refuse_websocket
from pns.web.routing import Route, encoded_path

log = logging.getLogger(__name__)

Known = tuple[str, str] | None
"""(device_id, user_id) of a device cookie that PNS signed."""


SUBSCRIBE = "/subscribe"
_NO_HEADERS: Headers = []


class Subscribed(Struct, frozen=True):
    """Yes, you may connect; a line without a message for 1.5 × heartbeat_seconds + 5 s is dead."""

    user_id: str
    device_id: str
    heartbeat_seconds: float


_COOKIE = {"Set-Cookie": "The signed device cookie."}

_SUBSCRIBE = Operation(
    caller="device",
    answers=(Answer(200, "This device may connect.", body=Subscribed, headers=_COOKIE),),
    problems=(*DEVICE, TooManyConnections),
)
_UPGRADE = Operation(
    caller="device",
    answers=(Answer(101, "With `Upgrade: websocket`: see asyncapi.json.", headers=_COOKIE),),
    problems=(*DEVICE, UpgradeRequired),
)
_PREFLIGHT = Operation(
    caller="device", answers=(Answer(204, "A page of this origin may ask."),), problems=(OriginNotAllowed,)
)


class DeviceEndpoints:
    """What a device may ask of a node. `cookie` makes the device cookie once the store can be read."""

    def __init__(self, node: Node, cookie: Callable[[], Awaitable[DeviceCookie]]) -> None:
        self._node = node
        self._cookie = cookie
        self._settings = node.settings
        self._proxies = TrustedProxies(node.settings.server.trusted_proxies)

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", SUBSCRIBE, self.subscribe, _SUBSCRIBE),
            Route("GET", SUBSCRIBE, self.upgrade_required, _UPGRADE),
            Route("OPTIONS", SUBSCRIBE, self.preflight, _PREFLIGHT),
        ]

    # ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────

    async def subscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether this device may connect, and the device cookie."""
        peer = self._proxies.peer(request.scope)
        cors = _cors(self._origin(request.scope, peer))
        self._node.check_open()
        cookie = await self._cookie()
        credentials, known = self._credentials(request.scope, peer, cookie)
        admitted = await self._node.admission.admit(credentials, known)
        if await self._node.crowded(admitted.user_id, new=1):
            raise TooManyConnections
        seconds = self._settings.server.heartbeat_seconds
        response = answer(Subscribed(admitted.user_id, admitted.device_id, seconds))
        set_cookie = _set_cookie(cookie, admitted, request.scope, peer)
        response.raw_headers.extend([*cors, set_cookie])
        return response

    async def upgrade_required(self, request: Request, parameters: dict[str, str]) -> Response:
        """A plain GET: this path opens a WebSocket."""
        self._origin(request.scope, self._proxies.peer(request.scope))
        raise UpgradeRequired

    async def preflight(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may ask. Nobody is logged in for it."""
        origin = self._origin(request.scope, self._proxies.peer(request.scope))
        response = answer(None, status=204)
        if origin is not None:
            response.raw_headers.extend(preflight_headers(origin, self._settings.auth.forward_headers))
        return response

    def cors(self, scope: Scope) -> Headers:
        """The CORS headers of an error: what a page of an allowed foreign origin needs to read it here.

        None where no device asks, and for a page that is refused.
        """
        if encoded_path(scope) != SUBSCRIBE:
            return _NO_HEADERS
        try:
            return _cors(self._origin(scope, self._proxies.peer(scope)))
        except OriginNotAllowed:
            return _NO_HEADERS

    # ── over a WebSocket ──────────────────────────────────────────────────────────────────────────────

    async def connect(
        self, scope: Scope, receive: Receive, send: Send, *, authority: DeviceAuthority | None = None
    ) -> None:
        """Serve one WebSocket until it ends. `authority`, if given, answers instead of the node's own."""
        peer, cors = self._proxies.peer(scope), _NO_HEADERS
        try:
            cors = _cors(self._origin(scope, peer))
            self._node.check_open()
            cookie = await self._cookie()
            credentials, known = self._credentials(scope, peer, cookie)
            connection, state = await self._node.join(credentials, known, authority=authority)
        except Problem as problem:
            self._node.metrics.refusals.labels(problem.code).inc()
            await self._refuse(scope, send, problem, cors)
            return
        try:
            set_cookie = _set_cookie(cookie, connection, scope, peer)
            await self._accept(scope, receive, send, [*cors, set_cookie])
            await self._run(connection, state, scope, receive, send)
        finally:
            self._node.leave(connection)

    async def _refuse(self, scope: Scope, send: Send, problem: Problem, cors: Headers) -> None:
        """Before the 101 with an HTTP status; a connection that its host accepted is closed instead."""
        if not scope.get("pns.accepted"):
            await refuse_websocket(scope, send, problem, cors)
            return
        again = isinstance(problem, Unavailable)
        code = CloseCode.TRY_AGAIN_LATER if again else CloseCode.LOGGED_OUT
        await send({"type": "websocket.close", "code": int(code), "reason": problem.code})

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

    def _origin(self, scope: Scope, peer: Peer) -> str | None:
        """The allowed foreign origin that asks; None for PNS's own and for none. Raises OriginNotAllowed."""
        return check_origin(scope["headers"], peer, self._settings.server.allowed_origins)

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


def _cors(origin: str | None) -> Headers:
    return _NO_HEADERS if origin is None else cors_headers(origin)


def _set_cookie(
    cookie: DeviceCookie, device: Admitted | Connection, scope: Scope, peer: Peer
) -> tuple[bytes, bytes]:
    path = scope.get("root_path") or "/"
    secure = peer.scheme == "https"
    return b"set-cookie", cookie.set_cookie(device.device_id, device.user_id, path=path, secure=secure)
