"""New connections: to one of a server's addresses, or through a proxy by CONNECT (RFC 9110 §9.3.6)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import TypeVar

from pns.runtime.bracketed import bracketed
from pns.runtime.http1.line import Line
from pns.runtime.http1.place import Server
from pns.runtime.http1.reader import ByHead
from pns.runtime.http1.trouble import Broken, Unreachable
from pns.runtime.proxy import AWAY, LOST, Proxy, refused

CONNECT_SECONDS = 3.0
"""After this time, the next address of a name is tried."""


@cache
def system_trust() -> ssl.SSLContext:
    """The system's certificates. Reading them takes 30 ms of the event loop, so they are read once."""
    import httpx2 as httpx

    return httpx.create_ssl_context(trust_env=False)


P = TypeVar("P", bound=asyncio.Protocol)

LookUp = Callable[[Server], Awaitable[Sequence[str]]]
"""The addresses of a server, in the order in which they are to be tried. Raises Unreachable."""


async def addresses(server: Server) -> Sequence[str]:
    """All addresses of a server, in the order of the system's resolver. Raises Unreachable."""
    with suppress(ValueError):
        return [str(ip_address(server.host))]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 characters
        raise Unreachable(type(error).__name__) from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class Dial:
    """Makes connections. `trust`: for servers with TLS, whose certificates must be of `Server.host`."""

    def __init__(self, trust: ssl.SSLContext | None, look_up: LookUp = addresses) -> None:
        """A connection goes only to an address that `look_up` returned."""
        self._trust = trust
        self._look_up = look_up

    async def __call__(self, server: Server) -> Line:
        """A new line to `server`. Raises Unreachable, with the error of the last address as its cause."""
        return await self.made(server, Line)

    async def made(self, server: Server, protocol: Callable[[], P]) -> P:
        """As `__call__`, with another `protocol`."""
        *others, last = await self._look_up(server)
        for address in others:
            with suppress(OSError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await self._connect(address, server, protocol)
        try:
            return await self._connect(last, server, protocol)
        except OSError as error:  # TLS's errors among them
            raise Unreachable(type(error).__name__) from error

    async def _connect(self, address: str, server: Server, protocol: Callable[[], P]) -> P:
        loop = asyncio.get_running_loop()
        if server.tls:
            made = loop.create_connection(
                protocol, address, server.port, ssl=self._trust, server_hostname=server.host
            )
        else:
            made = loop.create_connection(protocol, address, server.port)
        return (await made)[1]


class DialThrough:
    """Makes connections through `proxy`, which is given the name of the server, or one of its addresses.

    `trust`: for servers with TLS. `known_as`: what the proxy is told of a server; None: its name.
    """

    def __init__(
        self,
        proxy: Proxy,
        trust: ssl.SSLContext,
        known_as: Callable[[Server], Awaitable[str]] | None = None,
    ) -> None:
        self._proxy = proxy
        self._reach = Dial(proxy.trust)
        self._trust = trust
        self._known_as = known_as

    async def __call__(self, server: Server) -> Line:
        """A new line to `server`. Raises Unreachable in PNS's own words, which name no host."""
        return await self.made(server, Line)

    async def made(self, server: Server, protocol: Callable[[], P]) -> P:
        """As `__call__`, with another `protocol`."""
        name = server.host if self._known_as is None else await self._known_as(server)
        proxy = self._proxy
        try:
            line = await self._reach(Server(proxy.scheme == "https", proxy.host, proxy.port))
        except Unreachable as error:
            raise Unreachable(f"{AWAY} ({error})") from error.__cause__
        try:
            await self._ask(line, f"{bracketed(name)}:{server.port}")
            return await line.inside(self._trust if server.tls else None, server.host, protocol)
        except OSError as error:
            line.drop()
            raise Unreachable(type(error).__name__) from error
        except BaseException:
            line.drop()
            raise

    async def _ask(self, line: Line, place: str) -> None:
        own = [("host", place), *self._proxy.headers]
        head = "".join(f"{name}: {value}\r\n" for name, value in own)
        try:
            request = f"CONNECT {place} HTTP/1.1\r\n{head}\r\n".encode()
            answer = await line.exchange(request, most=0, tunnel=True, by_head=ByHead())
        except Broken:
            raise Unreachable(LOST) from None
        if answer.status // 100 != 2:
            raise Unreachable(refused(answer.status))
