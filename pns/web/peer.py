"""The peer of a request: the device behind the proxies.

Reads X-Forwarded-For, -Proto and -Host, and believes them only when the direct peer is one of
`server.trusted_proxies`; loopback is not by itself. Reading never fails: an unreadable header counts as not
sent. A server in front must not rewrite the scope itself (uvicorn: `proxy_headers=False`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec
from starlette.types import Scope

Address = IPv4Address | IPv6Address

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Peer(msgspec.Struct, frozen=True):
    """The known facts of the device's side of a request.

    `address`: the IP address in canonical form, or the server's word where that is no address, or "".
    `scheme`: "http" or "https", also for WebSockets. `host`: the requested `Host`, as sent, or "".
    """

    address: str
    scheme: str
    host: str


class TrustedProxies:
    """The proxies whose headers PNS believes. Raises ValueError for an entry that is no network."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks = tuple(ip_network(entry) for entry in entries)

    def peer(self, scope: Scope) -> Peer:
        """The peer of an HTTP or WebSocket `scope`.

        The address is the rightmost in X-Forwarded-For that is no trusted proxy (the leftmost when all are).
        After an entry that is no address, the direct peer counts. Of -Proto and -Host the last counts.
        """
        direct = (scope.get("client") or ("",))[0]
        scheme = _SCHEMES.get(scope.get("scheme", "http"), "http")
        hosts = list(_values(scope, b"host"))
        # Two Host headers say nothing: RFC 9112 §3.2 makes them an invalid request.
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._trusts(_address(direct)):
            return Peer(_canonical(direct), scheme, host)
        return Peer(
            self._client(direct, _entries(scope, b"x-forwarded-for")),
            _SCHEMES.get(_last(_entries(scope, b"x-forwarded-proto")).lower(), scheme),
            _last(_entries(scope, b"x-forwarded-host")) or host,
        )

    def _client(self, direct: str, hops: list[str]) -> str:
        client = _canonical(direct)
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                return _canonical(direct)
            client = str(address)
            if not self._trusts(address):
                break
        return client

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _values(scope: Scope, name: bytes) -> Iterator[str]:
    return (value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name)


def _entries(scope: Scope, name: bytes) -> list[str]:
    """The entries of a list header, which may be sent in several lines (RFC 9110 §5.3)."""
    return [entry.strip() for value in _values(scope, name) for entry in value.split(",") if entry.strip()]


def _last(entries: list[str]) -> str:
    return entries[-1] if entries else ""


def _canonical(text: str) -> str:
    address = _address(text)
    return text if address is None else str(address)


@lru_cache(maxsize=1024)
def _address(text: str) -> Address | None:
    """The IP address in `text`, which may have a port: `1.2.3.4:5`, `[::1]`, `[::1]:5`, `::1`."""
    text = text.strip('"')
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    else:
        port = ""
    if port and not (port.isascii() and port.isdigit()):
        return None
    try:
        # Without the zone of a link-local address, which is free text.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A dual-stack socket shows an IPv4 peer as ::ffff:1.2.3.4.
    return getattr(address, "ipv4_mapped", None) or address
