"""The endpoints of devices: POST /subscribe tells whether a device may connect, GET opens the connection.

Both run the same check (entrance.py). A GET is answered by a WebSocket (websocket.py). Where proxies refuse
WebSockets, an event stream (events.py) carries the same connection.
"""

from __future__ import annotations

import logging
from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pns.contracts.authority import DeviceAuthority
from pns.errors import (
    Draining,
    Invalid,
    OriginNotAllowed,
    Problem,
    TooManyConnections,
    Unavailable,
    UpgradeRequired,
)
from pns.live.parked import Parked
from pns.model.messages import SUBPROTOCOL, CloseCode
from pns.model.ticket import TICKET_SECONDS
from pns.node import Node
from pns.web.contract.operation import DEVICE, Answer, Operation, Parameter
from pns.web.entrance import SUBSCRIBE, Entrance
from pns.web.events import MEDIA_TYPE, EventStream, wants_events
from pns.web.problems import Headers, refuse_websocket
from pns.web.routing import Route
from pns.web.tickets import MAX_BODY_BYTES, MEDIA_TYPES, SubscribeBody, offered_ticket, read_subscribe_body
from pns.web.user_schemas import READING_BODY
from pns.web.users import answer
from pns.web.websocket import Incoming, line_of, websocket_transport

log = logging.getLogger(__name__)


class Subscribed(Struct, frozen=True):
    """Yes, you may connect; a line without a message for 1.5 × heartbeat_seconds + 5 s is dead.

    The rest only where a ticket was asked for. `ticket`: worth one connection, or one renewal, within
    `ticket_seconds`. `device_token`: to be sent when asking again. `renew_seconds`: how long a connection
    stays without a renewal; null: it needs none.
    """

    user_id: str
    device_id: str
    heartbeat_seconds: float
    ticket: str | UnsetType = UNSET
    ticket_seconds: int | UnsetType = UNSET
    device_token: str | UnsetType = UNSET
    renew_seconds: float | UnsetType | None = UNSET


COOKIE = {"Set-Cookie": "The signed device cookie; none for a page that logs in by a header alone."}
PERHAPS_COOKIE = {"Set-Cookie": "The signed device cookie; none where a ticket is asked for or shown."}

_SUBSCRIBE = Operation(
    caller="device",
    body=SubscribeBody,
    body_required=False,
    body_limit=MAX_BODY_BYTES,
    media_types=MEDIA_TYPES,
    answers=(Answer(200, "This device may connect.", body=Subscribed, may_have=PERHAPS_COOKIE),),
    problems=(*DEVICE, *READING_BODY, Invalid, TooManyConnections),
)
_TICKET = Parameter(
    "ticket",
    "Of an event stream: a ticket, in place of a login. A WebSocket offers it as the subprotocol "
    "`pns.ticket.<ticket>`.",
    str,
)
_COUNTS = Parameter(
    "counts",
    "Of an event stream: also send `notificationCounts`, at once and after every change.",
    Literal["true"],
)
_OPEN = Operation(
    caller="device",
    parameters=(_TICKET, _COUNTS),
    answers=(
        Answer(101, "With `Upgrade: websocket`: see asyncapi.json.", may_have=PERHAPS_COOKIE),
        Answer(
            200,
            "With `Accept: text/event-stream`: every count (with `counts`, all numbers, too) as `data:`, in "
            "JSON as on a WebSocket, and the count again "
            'as heartbeat; at the end `event: close` with `data: {"code","reason"}`.',
            body=str,
            media_type=MEDIA_TYPE,
            may_have=PERHAPS_COOKIE,
        ),
    ),
    problems=(*DEVICE, Invalid, UpgradeRequired, TooManyConnections),
)
PREFLIGHT = Operation(
    caller="device", answers=(Answer(204, "A page of this origin may ask."),), problems=(OriginNotAllowed,)
)


class DeviceEndpoints:
    """The calls of a device before its connection, and the opening of the connection."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._node = node
        self._entrance = entrance

    @property
    def routes(self) -> list[Route]:
        return [
            Route("POST", SUBSCRIBE, self.subscribe, _SUBSCRIBE),
            Route("GET", SUBSCRIBE, self.open, _OPEN),
            Route("OPTIONS", SUBSCRIBE, self.preflight, PREFLIGHT),
        ]

    # ── over HTTP ─────────────────────────────────────────────────────────────────────────────────────

    async def subscribe(self, request: Request, parameters: dict[str, str]) -> Response:
        """Whether this device may connect, and the device cookie; or a ticket, where no cookies are sent."""
        self._entrance.check(request.scope)
        if self._node.draining:
            raise Draining
        asked = await read_subscribe_body(request)
        if asked.ticket:
            return await self._give_ticket(request, asked)
        self._node.check_open()
        device, _, headers = await self._entrance.admit(request.scope)
        if await self._node.crowded(device.user_id, new=1):
            raise TooManyConnections
        seconds = self._node.settings.server.heartbeat_seconds
        response = answer(Subscribed(device.user_id, device.device_id, seconds))
        response.raw_headers.extend(headers)
        return response

    async def _give_ticket(self, request: Request, asked: SubscribeBody) -> Response:
        # A renewal opens no connection: it is for one that is counted already.
        if not asked.renew:
            self._node.check_open()
        device, ticket, device_token, headers = await self._entrance.admit_for_ticket(request.scope, asked)
        if not asked.renew and await self._node.crowded(device.user_id, new=1):
            raise TooManyConnections
        settings = self._node.settings
        said = Subscribed(
            device.user_id,
            device.device_id,
            settings.server.heartbeat_seconds,
            ticket=ticket,
            ticket_seconds=TICKET_SECONDS,
            device_token=device_token,
            renew_seconds=settings.auth.recheck_seconds or None,
        )
        response = answer(said)
        response.raw_headers.extend(headers)
        return response

    async def open(self, request: Request, parameters: dict[str, str]) -> Response:
        """The connection: a WebSocket, or an event stream where a proxy refuses that."""
        self._entrance.check(request.scope)
        if request.method != "GET" or not wants_events(request):
            raise UpgradeRequired
        counts = request.query_params.get("counts")
        if counts not in (None, "true"):
            raise Invalid([("counts", "must be true, or left out")])
        ticket = request.query_params.get("ticket")
        connection, state, headers = await (
            self._entrance.join(request.scope)
            if ticket is None
            else self._entrance.join_by_ticket(request.scope, ticket)
        )
        return EventStream(self._node, connection, state, headers=headers, counts=counts is not None)

    async def preflight(self, request: Request, parameters: dict[str, str]) -> Response:
        """CORS: whether a page of another origin may ask. Nobody is logged in for it."""
        headers = self._entrance.preflight(request.scope)
        response = answer(None, status=204)
        response.raw_headers.extend(headers)
        return response

    # ── over a WebSocket ──────────────────────────────────────────────────────────────────────────────

    async def connect(
        self, scope: Scope, receive: Receive, send: Send, *, authority: DeviceAuthority | None = None
    ) -> None:
        """Serve a WebSocket until its end. `authority`, if given, answers instead of the node's own, and
        instead of a ticket.
        """
        ticket = None if authority else offered_ticket(scope.get("subprotocols", ()))
        try:
            connection, state, headers = await (
                self._entrance.join(scope, authority)
                if ticket is None
                else self._entrance.join_by_ticket(scope, ticket)
            )
        except Problem as problem:
            self._node.metrics.refusals.labels(problem.code).inc()
            self._entrance.tell(problem)
            await self._refuse(scope, send, problem)
            return
        line, parked = line_of(scope), False
        try:
            transport = line or websocket_transport(scope, send, in_place=self._node.in_place)
            connection.plug_in(transport)
            # Asked before the 101, so that the 101 and the first count go out in one packet.
            crowded = await self._node.crowded(connection.user_id)
            await self._accept(scope, receive, send, headers=headers)
            if crowded:
                connection.end(CloseCode.TOO_MANY_CONNECTIONS)
            if line is None:
                await connection.run(Incoming(receive), state)
            else:
                parked = True
                Parked(connection, line, left=self._node.leave).begin(state)
        finally:
            if not parked:
                self._node.leave(connection)

    async def _refuse(self, scope: Scope, send: Send, problem: Problem) -> None:
        """Refuse with an HTTP status, before the 101. If the host accepted before, close instead."""
        if not scope.get("pns.accepted"):
            await refuse_websocket(scope, send, problem, extra=self._cors(scope))
            return
        again = isinstance(problem, Unavailable)
        code = CloseCode.TRY_AGAIN_LATER if again else CloseCode.LOGGED_OUT
        await send({"type": "websocket.close", "code": int(code), "reason": problem.code})

    def _cors(self, scope: Scope) -> Headers:
        """A WebSocket belongs to a device, at any path of the host."""
        try:
            return self._entrance.check(scope)
        except OriginNotAllowed:
            return []

    async def _accept(self, scope: Scope, receive: Receive, send: Send, *, headers: Headers) -> None:
        if scope.get("pns.accepted"):
            return
        await receive()
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
