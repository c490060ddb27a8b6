"""Letting a device in: the Origin rule, the application's word, the device cookie. The same for a WebSocket,
an event stream, a single message and a registration, so that no way in is wider than another. Here it shows,
too, that a device was left: its cookie's user is not the application's any more (departures.py).

It reads nothing of a request but its headers.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.types import Scope

from pns.contracts.authority import Credentials, DeviceAuthority
from pns.contracts.store import State
from pns.errors import Draining, Forbidden, OriginNotAllowed, Problem, RateLimited, Unauthorized
from pns.live.admission import Admitted, first_device_id
from pns.live.connection import Connection
from pns.live.conversation import BURST
from pns.live.departures import Left
from pns.model.forwarding import forwarded_headers
from pns.node import Node
from pns.runtime.quiet_log import QuietLog
from pns.web.allowance import Allowances
from pns.web.cookie import DeviceCookie
from pns.web.origin import check_origin, cors_headers, is_own_origin, preflight_headers, sent_origin
from pns.web.peer import Peer, TrustedProxies
from pns.web.problems import Headers
from pns.web.routing import encoded_path
from pns.web.tickets import SubscribeBody, Tickets

log = logging.getLogger(__name__)

Known = tuple[str, str] | None
"""(device_id, user_id) of a device cookie that PNS signed."""

SUBSCRIBE = "/subscribe"
MESSAGES = "/messages"
DEVICES = "/devices"
_FOR_DEVICES = {SUBSCRIBE, MESSAGES, DEVICES}
_NO_HEADERS: Headers = []


class Entered(NamedTuple):
    """A device that was let in. `headers` belong into the answer: CORS and the device cookie."""

    device: Admitted
    known: bool
    """Whether it brought its cookie: one that does not is a new device every time."""
    headers: Headers


class Ticketed(NamedTuple):
    """A device that was let in and given a ticket. `headers`: CORS, and never a cookie."""

    device: Admitted
    ticket: str
    device_token: str
    headers: Headers


class Joined(NamedTuple):
    """A connection in the hub, which the caller must `leave`. `headers` as of Entered."""

    connection: Connection
    state: State
    headers: Headers


class Entrance:
    """The way into one node. `cookie` and `tickets` make what signs them once the store can be read."""

    def __init__(
        self,
        node: Node,
        cookie: Callable[[], Awaitable[DeviceCookie]],
        tickets: Callable[[], Awaitable[Tickets]],
    ) -> None:
        self._node = node
        self._cookie = cookie
        self._tickets = tickets
        self._settings = node.settings
        self._log = QuietLog(log, clock=node.clock)
        self._proxies = TrustedProxies(node.settings.server.trusted_proxies)

    async def admit(self, scope: Scope) -> Entered:
        """The device that asks. Raises OriginNotAllowed, and what Admission raises."""
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        cookie = await self._cookie()
        credentials, known = self._credentials(scope, peer, cookie)
        try:
            admitted = await self._node.admission.admit(credentials, known)
        except (Unauthorized, Forbidden) as no:
            raise await self._refusal(no, known, scope) from None
        if (left := _left(known, admitted)) is not None:
            await self._node.departures.leave(left, to_another=True)
        same = known is not None and admitted.device_id == known[0]
        return Entered(admitted, same, [*cors, _set_cookie(cookie, admitted, scope, peer)])

    async def join(self, scope: Scope, authority: DeviceAuthority | None = None) -> Joined:
        """A new connection of the device that asks; `authority`, if given, answers instead of the node's.

        Raises OriginNotAllowed, and what Node.join raises.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        self._node.check_open()
        cookie = await self._cookie()
        credentials, known = self._credentials(scope, peer, cookie)
        try:
            connection, state = await self._node.join(credentials, known, authority=authority)
        except (Unauthorized, Forbidden) as no:
            raise await self._refusal(no, None if authority else known, scope) from None
        if authority is None and (left := _left(known, connection)) is not None:
            # Not waited for: the connection is in the hub, and must have its socket before anything is.
            self._node.departures.left(left, to_another=True)
        return Joined(connection, state, [*cors, _set_cookie(cookie, connection, scope, peer)])

    async def admit_for_ticket(self, scope: Scope, asked: SubscribeBody) -> Ticketed:
        """The device that asks for a ticket: the one of its token, whatever cookies came along.

        Raises what `admit` raises.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        cookie, tickets = await self._cookie(), await self._tickets()
        known = cookie.read_token(asked.device_token)
        credentials = self._question(scope, peer, known)
        admitted = await self._node.admission.admit(credentials, known, recheck=asked.renew)
        ticket = tickets.issue(admitted, sent_origin(scope["headers"]))
        return Ticketed(admitted, ticket, cookie.token(admitted.device_id, admitted.user_id), cors)

    async def join_by_ticket(self, scope: Scope, text: str) -> Joined:
        """A new connection for the ticket that `text` is. No cookie is read or set, and nobody is asked.

        Raises OriginNotAllowed, Unauthorized, and what Node.join_by_ticket raises.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        self._node.check_open()
        tickets = await self._tickets()
        read = partial(tickets.read, may_use=_is_of_page(scope, peer))
        connection, state = await self._node.join_by_ticket(read(text), read)
        return Joined(connection, state, cors)

    def check(self, scope: Scope) -> Headers:
        """The CORS headers for a page that may ask; none for PNS's own. Raises OriginNotAllowed."""
        return self._cors(scope, self._proxies.peer(scope))

    def preflight(self, scope: Scope) -> Headers:
        """The headers of the answer to OPTIONS. Raises OriginNotAllowed."""
        origin = self._origin(scope, self._proxies.peer(scope))
        return (
            _NO_HEADERS if origin is None else preflight_headers(origin, self._settings.auth.forward_headers)
        )

    def cors(self, scope: Scope) -> Headers:
        """The CORS headers of an error: what a page of an allowed foreign origin needs to read it here.

        None where no device asks, and for a page that is refused.
        """
        if "/".join(encoded_path(scope).split("/")[:2]) not in _FOR_DEVICES:
            return _NO_HEADERS
        try:
            return self.check(scope)
        except OriginNotAllowed:
            return _NO_HEADERS

    def tell(self, problem: Problem) -> None:
        """Log the refusal of a page's origin, at most once a minute; other problems are not told here."""
        if isinstance(problem, OriginNotAllowed):
            self._log.write("origin", f"a page's origin is refused: {problem}")

    def _cors(self, scope: Scope, peer: Peer) -> Headers:
        origin = self._origin(scope, peer)
        return _NO_HEADERS if origin is None else cors_headers(origin)

    def _origin(self, scope: Scope, peer: Peer) -> str | None:
        """The allowed foreign origin that asks; None for PNS's own and for none. Raises OriginNotAllowed."""
        return check_origin(scope["headers"], peer, self._settings.server.allowed_origins)

    def _credentials(self, scope: Scope, peer: Peer, cookie: DeviceCookie) -> tuple[Credentials, Known]:
        known = cookie.read(_cookies(scope))
        return self._question(scope, peer, known), known

    def _question(self, scope: Scope, peer: Peer, known: Known) -> Credentials:
        return Credentials(
            headers=forwarded_headers(
                scope["headers"],
                allow=self._settings.auth.forward_headers,
                cookie_name=self._settings.session.cookie_name,
            ),
            forwarded=(
                (b"x-forwarded-for", peer.address.encode()),
                (b"x-forwarded-proto", peer.scheme.encode()),
                (b"x-pns-host", peer.host.encode("latin-1")),
            ),
            device_id=first_device_id(known),
            request=HTTPConnection(scope),
        )

    async def _refusal(self, no: Unauthorized | Forbidden, known: Known, scope: Scope) -> Problem:
        """The application's no, to be raised. The device that the cookie names is left now, and marked so.

        A cookie proves no login: a thief of one can end its device's connections, once in ten seconds.
        """
        cookie = await self._cookie()
        if known is None or cookie.is_left(_cookies(scope)):
            return no
        device_id, user_id = known
        await self._node.departures.leave(Left(user_id, device_id))
        # One no may be the answer to several equal questions, and each has a device of its own.
        refusal = (Unauthorized if isinstance(no, Unauthorized) else Forbidden)(str(no))
        device = Admitted(user_id, device_id, 0)
        refusal.headers = (_set_cookie(cookie, device, scope, self._proxies.peer(scope), left=True),)
        return refusal


class Turnstile:
    """Lets devices in for a single call each, no more of them than `limits.requests_per_second`."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        self._node = node
        self._entrance = entrance
        self._allowances = Allowances(node.settings.limits.requests_per_second, burst=BURST)

    async def enter(self, scope: Scope) -> Entered:
        """The device that asks. Raises what Entrance.admit raises, Draining or RateLimited."""
        self._entrance.check(scope)
        if self._node.draining:
            raise Draining
        entered = await self._entrance.admit(scope)
        # One that brings no cookie would be a new device each time: those of a user share a turn.
        key = (entered.device.user_id, entered.device.device_id if entered.known else "")
        if not self._allowances.take(key, now=self._node.clock.monotonic()):
            raise RateLimited
        return entered


def _cookies(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"cookie"]


def _left(known: Known, device: Admitted | Connection) -> Left | None:
    """The cookie's device, if somebody else is logged in there."""
    if known is None or known[1] == device.user_id:
        return None
    return Left(user_id=known[1], device_id=known[0])


def _is_of_page(scope: Scope, peer: Peer) -> Callable[[str], bool]:
    """Whether a ticket for pages of an origin may be used by the page of this request."""
    sent = sent_origin(scope["headers"])
    # With the GET of a stream browsers send no Origin where it is PNS's own (Fetch Standard §3.1).
    silent = scope["type"] == "http" and not sent
    return lambda origin: origin == sent or (silent and is_own_origin(origin, peer))


def _set_cookie(
    cookie: DeviceCookie, device: Admitted | Connection, scope: Scope, peer: Peer, *, left: bool = False
) -> tuple[bytes, bytes]:
    path = scope.get("root_path") or "/"
    secure = peer.scheme == "https"
    value = cookie.set_cookie(device.device_id, device.user_id, path=path, secure=secure, left=left)
    return b"set-cookie", value
