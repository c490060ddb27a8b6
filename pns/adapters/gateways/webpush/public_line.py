"""POST to hosts that clients name. A connection goes only to an address that was looked up and allowed.

The check stands below TLS and HTTP, where a connection is made. So a name is resolved once, a second answer
of its name server changes nothing (DNS rebinding), and `Host`, SNI and certificate stay those of the name.
The line follows no redirect, keeps no cookie and decompresses nothing. The caller sets the deadline.

By way of a proxy, the proxy connects. A name that is known here must still have allowed addresses. A name
that is not known here is the proxy's to look up, and so is never called unknown. The proxy is given names for
TLS, as proxies want them, and addresses where no certificate would prove the host.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping

from pns.adapters.gateways.endpoint import NOT_PUBLIC, Endpoint, ForbiddenEndpoint, Reach
from pns.adapters.gateways.webpush.lookups import Crowded, Lookups, Slow
from pns.runtime.clock import Clock
from pns.runtime.http1 import Answer, NoAnswer, Place, Pool, Unreachable
from pns.runtime.http1.dial import Dial, DialThrough
from pns.runtime.http1.place import Server, written
from pns.runtime.proxy import Proxy

MOST_ADDRESSES = 4
_LOOKUPS = 256
"""Threads, made on demand. More than twice the pushes under way by default: an abandoned look-up goes on for
about as long again, and a client with many domains can have many.
"""
_REGISTRATIONS = 32
"""Threads for registrations: pushes and registrations do not hold each other up."""
_KEEP_ALIVE_SECONDS = 20.0
_MOST_BODY = 4096

_NO_SUCH_NAME = {getattr(socket, name, None) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")}
"""Not every system has all three names. Other errors of getaddrinfo may pass."""


class UnknownHost(Unreachable):
    """The name does not exist, or has no address."""


class PublicLine:
    """Connections within `reach`; at most `connections` stay open idle. You must call `close` at the end."""

    def __init__(
        self,
        reach: Reach,
        *,
        trust: ssl.SSLContext,
        connections: int,
        clock: Clock,
        proxy: Proxy | None = None,
    ) -> None:
        self._reach = reach
        self._by_proxy = proxy is not None
        self._lookups = Lookups(_resolve, threads=_LOOKUPS, clock=clock)
        self._registrations = Lookups(_resolve, threads=_REGISTRATIONS, clock=clock)
        dial = DialThrough(proxy, trust, self._known_as) if proxy else Dial(trust, self._addresses)
        self._pool = Pool(dial, idle=connections, keep_seconds=_KEEP_ALIVE_SECONDS)

    async def post(self, endpoint: Endpoint, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer of `endpoint`, whatever its status. Raises ForbiddenEndpoint and NoAnswer."""
        self._reach.check(endpoint)
        place = _place(endpoint)
        return await self._pool.exchange(place, written("POST", place, headers, body=body), most=_MOST_BODY)

    async def _addresses(self, server: Server) -> list[str]:
        return (await self.look_up(server.host, server.port, scheme=_scheme(server)))[:MOST_ADDRESSES]

    async def _known_as(self, server: Server) -> str:
        """The name, where a certificate proves the host, else an address."""
        found = await self._addresses(server)
        return server.host if server.tls else found[0]

    async def look_up(self, host: str, port: int, *, scheme: str, new: bool = False) -> list[str]:
        """The addresses of `host`, every address allowed. Raises ForbiddenEndpoint and NoAnswer.

        None of them: a proxy may know the host, which is not known here. `new`: for a registration, which
        must not hold up pushes, and must not tell which names are known inside the network.
        """
        outside = self._by_proxy and self._reach.may_be_public(host, scheme=scheme, port=port)
        if outside and new:
            return []
        try:
            found = await self._found(host, port, new=new)
        except NoAnswer:
            if outside:
                return []
            if self._by_proxy:
                raise ForbiddenEndpoint(NOT_PUBLIC) from None
            raise
        self._reach.check_addresses(found, scheme=scheme, port=port)
        return found

    async def _found(self, host: str, port: int, *, new: bool) -> list[str]:
        lookups = self._registrations if new else self._lookups
        try:
            return await lookups.addresses(host, port)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                raise UnknownHost("the host was not found") from None
            raise Unreachable("the host cannot be looked up now") from None
        except UnicodeError:  # an empty label, or one of more than 63 characters
            raise UnknownHost("the host was not found") from None
        except Slow:
            raise Unreachable("the host could not be looked up in time") from None
        except Crowded:  # which says nothing of this service
            raise NoAnswer("look-ups of other hosts were in the way") from None
        except (OSError, RuntimeError):  # RuntimeError: closed meanwhile
            raise Unreachable("the host could not be looked up") from None

    async def close(self) -> None:
        """Cut all connections. Safe to call twice."""
        self._lookups.close()
        self._registrations.close()
        self._pool.close()


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _place(endpoint: Endpoint) -> Place:
    authority, target = endpoint.authority.encode(), endpoint.target.encode()
    return Place(endpoint.origin.scheme == "https", endpoint.host, endpoint.port, authority, target)


def _scheme(server: Server) -> str:
    return "https" if server.tls else "http"
