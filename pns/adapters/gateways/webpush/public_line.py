"""POST to hosts that clients name. A connection goes only to an address that was looked up and allowed.

The check stands below TLS and HTTP, where a connection is made. So a name is resolved once, a second answer
of its name server changes nothing (DNS rebinding), and `Host`, SNI and certificate stay those of the name.
The line works on the library's pool, without redirects, cookies, proxies and decompression. The caller sets
the deadline.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import aclosing, suppress
from typing import NamedTuple

import httpcore2 as httpcore
import httpx2 as httpx

from pns.adapters.gateways.endpoint import Endpoint, Reach
from pns.adapters.gateways.webpush.lookups import Crowded, Lookups, Slow
from pns.runtime.clock import Clock

CONNECT_SECONDS = 3.0
"""After this time, the next address is tried."""
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
_UNREACHED = (httpcore.ConnectError, httpcore.ConnectTimeout)
_FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)


class NoAnswer(Exception):
    """No answer; the request may have arrived or not. The message names no host."""


class Unreachable(NoAnswer):
    """Nobody could be asked."""


class UnknownHost(Unreachable):
    """The name does not exist, or has no address."""


class Answer(NamedTuple):
    """`body`: its first bytes, as they came."""

    status: int
    headers: httpx.Headers
    body: bytes


class PublicLine:
    """Connections within `reach`; at most `connections` stay open idle. You must call `close` at the end."""

    def __init__(self, reach: Reach, *, trust: ssl.SSLContext, connections: int, clock: Clock) -> None:
        self._reach = reach
        self._lookups = Lookups(_resolve, threads=_LOOKUPS, clock=clock)
        self._registrations = Lookups(_resolve, threads=_REGISTRATIONS, clock=clock)
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=trust,
                max_connections=None,  # a bound would be one more queue; the dispatcher has one
                max_keepalive_connections=connections,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
                network_backend=_Checked(self, scheme),
            )
            for scheme in ("http", "https")
        }

    async def post(self, endpoint: Endpoint, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer of `endpoint`, whatever its status. Raises ForbiddenEndpoint and NoAnswer."""
        self._reach.check(endpoint)
        request = _request(endpoint, headers, body)
        try:
            response = await self._pools[endpoint.origin.scheme].handle_async_request(request)
            try:
                found = httpx.Headers(response.headers)
                return Answer(response.status, found, await _beginning(response))
            finally:
                await response.aclose()
        except _UNREACHED as error:
            raise Unreachable(type(error).__name__) from error
        except _FAILURES as error:
            raise NoAnswer(type(error).__name__) from error

    async def look_up(self, host: str, port: int, *, scheme: str, new: bool = False) -> list[str]:
        """The addresses of `host`, every address allowed. Raises ForbiddenEndpoint and NoAnswer.

        `new`: for a registration, which must not hold up pushes.
        """
        lookups = self._registrations if new else self._lookups
        try:
            found = await lookups.addresses(host, port)
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
        self._reach.check_addresses(found, scheme=scheme, port=port)
        return found

    async def close(self) -> None:
        """Cut all connections. Safe to call twice."""
        self._lookups.close()
        self._registrations.close()
        for pool in self._pools.values():
            await pool.aclose()


class _Checked(httpcore.AsyncNetworkBackend):
    """Makes TCP connections, each to an address that `line` has looked up."""

    def __init__(self, line: PublicLine, scheme: str) -> None:
        self._line = line
        self._scheme = scheme
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = (await self._line.look_up(host, port, scheme=self._scheme))[:MOST_ADDRESSES]
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._tcp.connect_tcp(address, port, timeout=CONNECT_SECONDS)
        return await self._tcp.connect_tcp(last, port, timeout=CONNECT_SECONDS)


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _request(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> httpcore.Request:
    url = httpcore.URL(
        scheme=endpoint.origin.scheme, host=endpoint.host, port=endpoint.port, target=endpoint.target
    )
    own = {"Host": endpoint.authority, "Content-Length": str(len(body))}
    return httpcore.Request("POST", url, headers=[*own.items(), *headers.items()], content=body)


async def _beginning(response: httpcore.Response) -> bytes:
    """The interesting part of the body. The line to a service that sends more is closed."""
    body = bytearray()
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) >= _MOST_BODY:
                break
    return bytes(body[:_MOST_BODY])
