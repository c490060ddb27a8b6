"""Letting a device in: the Origin rule, the application's word, the device cookie.

A WebSocket, an event stream, a single message and a registration pass here, so that no way in is wider than
another. Here PNS learns, too, that a device was left: the application no longer answers with the user of the
cookie (live/departures.py). Of a request this module reads only the headers.
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
from pns.model.device import OwnedDevice
from pns.model.forwarding import SENT_BY_ALL, forwarded_headers
from pns.node import Node
from pns.runtime.quiet_log import QuietLog
from pns.web.allowance import Allowances
from pns.web.cookie import DeviceCookie, NamedDevice
from pns.web.cookie_watch import Browser, CookieWatch
from pns.web.origin import (
    check_origin,
    cors_headers,
    is_link,
    is_own_origin,
    preflight_headers,
    sent_origin,
)
from pns.web.peer import Peer, TrustedProxies
from pns.web.problems import Headers
from pns.web.routing import encoded_path, mount_path
from pns.web.tickets import SubscribeBody, Tickets

log = logging.getLogger(__name__)

SUBSCRIBE = "/subscribe"
MESSAGES = "/messages"
DEVICES = "/devices"
PREFERENCES = "/preferences"
_SENT_BY_PAGES = (b"origin", b"sec-fetch-site")
_FOR_DEVICES = {SUBSCRIBE, MESSAGES, DEVICES, PREFERENCES}


class Question(NamedTuple):
    """The question to the application, and the device that the cookie names."""

    credentials: Credentials
    named: NamedDevice | None

    @property
    def known(self) -> OwnedDevice | None:
        return None if self.named is None else self.named.device


class Entered(NamedTuple):
    """A device that was let in. `headers` belong into the answer: CORS, perhaps the device cookie."""

    device: Admitted
    known: bool
    """Whether the device brought its cookie. Without a cookie a device is new every time."""
    headers: Headers


_NEEDS_HTTPS = (
    "the device cookie is lost: browsers keep the name of session.cookie_name over https alone, and a "
    "request came by http; behind a TLS proxy set server.trusted_proxies, else take a name without the prefix"
)


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
        self._lost_cookies = CookieWatch(node.clock)

    async def admit(self, scope: Scope, *, single: bool = False) -> Entered:
        """The device that asks. Raises OriginNotAllowed, and what Admission raises.

        `single`: for a single call, where a page whose login is a header is set no cookie.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        cookie = await self._cookie()
        self._tell_of_prefix(cookie, peer)
        question = self._question(scope, peer, cookie.read(_cookies(scope)))
        known = question.known
        try:
            admitted = await self._node.admission.check(question.credentials, known)
        except (Unauthorized, Forbidden) as no:
            raise await self._refusal(no, question.named, scope) from None
        if (left := _left(known, admitted)) is not None:
            await self._node.departures.leave(left, to_another=True)
        if single and _keeps_no_cookies(scope, question.credentials):
            return Entered(admitted, False, cors)
        self._watch(scope, peer, admitted, question=question, cookie=cookie)
        same = known is not None and admitted.device_id == known.device_id
        return Entered(admitted, same, [*cors, _set_cookie(cookie, admitted, scope, peer=peer)])

    async def join(self, scope: Scope, authority: DeviceAuthority | None = None) -> Joined:
        """A new connection of the device that asks; `authority`, if given, answers instead of the node's.

        Raises OriginNotAllowed, and what Node.join raises.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        self._node.check_open()
        cookie = await self._cookie()
        self._tell_of_prefix(cookie, peer)
        question = self._question(scope, peer, cookie.read(_cookies(scope)))
        try:
            connection, state = await self._node.join(
                question.credentials, question.known, authority=authority
            )
        except (Unauthorized, Forbidden) as no:
            raise await self._refusal(no, None if authority else question.named, scope) from None
        if authority is None and (left := _left(question.known, connection)) is not None:
            # Not awaited: the connection is in the hub, and must have its transport before any await.
            self._node.departures.left(left, to_another=True)
        self._watch(scope, peer, connection, question=question, cookie=cookie)
        return Joined(connection, state, [*cors, _set_cookie(cookie, connection, scope, peer=peer)])

    async def admit_for_ticket(self, scope: Scope, asked: SubscribeBody) -> Ticketed:
        """The device that asks for a ticket: the device of its token, whatever cookies the request has.

        Raises what `admit` raises.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        cookie, tickets = await self._cookie(), await self._tickets()
        known = cookie.read_token(asked.device_token)
        credentials = self._credentials(scope, peer, known)
        admitted = await self._node.admission.check(credentials, known, recheck=asked.renew)
        ticket = tickets.issue(admitted, sent_origin(scope["headers"]))
        return Ticketed(admitted, ticket, cookie.token(admitted.device_id, admitted.user_id), cors)

    async def join_by_ticket(self, scope: Scope, text: str) -> Joined:
        """A new connection for the ticket `text`. No cookie is read or set. The application is not asked.

        Raises OriginNotAllowed, Unauthorized, and what Node.join_by_ticket raises.
        """
        peer = self._proxies.peer(scope)
        cors = self._cors(scope, peer)
        self._node.check_open()
        tickets = await self._tickets()
        read = partial(tickets.read, may_use=_is_of_page(scope, peer))
        connection, state = await self._node.join_by_ticket(read(text), read)
        return Joined(connection, state, cors)

    async def credentials(self, scope: Scope) -> Credentials:
        """The credentials of a request for a page of PNS's own, which a link of another site may name.

        Raises OriginNotAllowed.
        """
        peer = self._proxies.peer(scope)
        if not is_link(scope["method"], scope["headers"]):
            self._origin(scope, peer)
        named = (await self._cookie()).read(_cookies(scope))
        return self._question(scope, peer, named).credentials

    def check(self, scope: Scope) -> Headers:
        """The CORS headers for a page that may ask; an empty list for PNS's own pages.

        Raises OriginNotAllowed.
        """
        return self._cors(scope, self._proxies.peer(scope))

    def preflight(self, scope: Scope) -> Headers:
        """The headers of the answer to OPTIONS. Raises OriginNotAllowed."""
        origin = self._origin(scope, self._proxies.peer(scope))
        if origin is None:
            return []
        return preflight_headers(origin, self._settings.auth.forward_headers)

    def cors(self, scope: Scope) -> Headers:
        """The CORS headers of an error. A page of an allowed foreign origin needs them to read the error.

        An empty list for paths that are not for devices, and for a page that is refused.
        """
        if "/".join(encoded_path(scope).split("/")[:2]) not in _FOR_DEVICES:
            return []
        try:
            return self.check(scope)
        except OriginNotAllowed:
            return []

    def tell(self, problem: Problem) -> None:
        """Log the refusal of a page's origin, at most once a minute. Other problems are not logged here."""
        if isinstance(problem, OriginNotAllowed):
            self._log.write("origin", f"a page's origin is refused: {problem}")

    def _watch(
        self,
        scope: Scope,
        peer: Peer,
        device: Admitted | Connection,
        *,
        question: Question,
        cookie: DeviceCookie,
    ) -> None:
        """Take note whether the browser brought the cookie that was set for it."""
        agents = [value for name, value in scope["headers"] if name == b"user-agent"]
        browser = Browser(device.user_id, peer.address, b"".join(agents)[:200])
        if question.named is not None:
            self._lost_cookies.came_back(browser)
        else:
            foreign = cookie.is_in(_cookies(scope))
            self._lost_cookies.is_lost(browser, path=mount_path(scope) or "/", foreign=foreign)

    def _cors(self, scope: Scope, peer: Peer) -> Headers:
        origin = self._origin(scope, peer)
        return [] if origin is None else cors_headers(origin)

    def _origin(self, scope: Scope, peer: Peer) -> str | None:
        """The allowed foreign origin of the page. None for PNS's own pages, and without an origin.

        Raises OriginNotAllowed.
        """
        return check_origin(scope["headers"], peer, self._settings.server.allowed_origins)

    def _tell_of_prefix(self, cookie: DeviceCookie, peer: Peer) -> None:
        if cookie.needs_https and peer.scheme != "https":
            self._log.write("prefix", _NEEDS_HTTPS)

    def _question(self, scope: Scope, peer: Peer, named: NamedDevice | None) -> Question:
        known = None if named is None else named.device
        return Question(self._credentials(scope, peer, known), named)

    def _credentials(self, scope: Scope, peer: Peer, known: OwnedDevice | None) -> Credentials:
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

    async def _refusal(
        self, no: Unauthorized | Forbidden, named: NamedDevice | None, scope: Scope
    ) -> Problem:
        """The application's no, to be raised. The device of the cookie is left now, and the cookie is marked.

        A cookie proves no login: its thief can end the connections of the device, once in ten seconds.
        """
        if named is None or named.left:
            return no
        device_id, user_id = named.device
        await self._node.departures.leave(Left(user_id, device_id))
        # Several equal questions may share this no, and each question has a device of its own.
        refusal = (Unauthorized if isinstance(no, Unauthorized) else Forbidden)(str(no))
        device = Admitted(user_id, device_id, 0)
        refusal.headers = (
            _set_cookie(await self._cookie(), device, scope, peer=self._proxies.peer(scope), left=True),
        )
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
        entered = await self._entrance.admit(scope, single=True)
        # Without a cookie a device would be new each time: such devices of a user share one allowance.
        key = (entered.device.user_id, entered.device.device_id if entered.known else "")
        if not self._allowances.take(key, now=self._node.clock.monotonic()):
            raise RateLimited
        return entered


def _cookies(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"cookie"]


def _keeps_no_cookies(scope: Scope, credentials: Credentials) -> bool:
    """Whether a page asks that sends its login in a header, and no cookies (docs/protocol.md, tickets).

    An app is no page: the app may keep the cookie, and is the same device then.
    """
    sent = {name for name, _ in scope["headers"]}
    if b"cookie" in sent or sent.isdisjoint(_SENT_BY_PAGES):
        return False
    return any(name not in SENT_BY_ALL for name, _ in credentials.headers)


def _left(known: OwnedDevice | None, device: Admitted | Connection) -> Left | None:
    """The cookie's device, if another user is logged in there."""
    if known is None or known.user_id == device.user_id:
        return None
    return Left(user_id=known.user_id, device_id=known.device_id)


def _is_of_page(scope: Scope, peer: Peer) -> Callable[[str], bool]:
    """Whether a ticket for pages of an origin may be used by the page of this request."""
    sent = sent_origin(scope["headers"])
    # With the GET of a stream browsers send no Origin where it is PNS's own (Fetch Standard §3.1).
    silent = scope["type"] == "http" and not sent
    return lambda origin: origin == sent or (silent and is_own_origin(origin, peer))


def _set_cookie(
    cookie: DeviceCookie, device: Admitted | Connection, scope: Scope, *, peer: Peer, left: bool = False
) -> tuple[bytes, bytes]:
    path = mount_path(scope)
    secure = peer.scheme == "https"
    value = cookie.set_cookie(device.device_id, device.user_id, path=path, secure=secure, left=left)
    return b"set-cookie", value
