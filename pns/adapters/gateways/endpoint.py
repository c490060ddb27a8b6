"""The rules for an endpoint: clients name endpoints, so by default only hosts of the public internet.

An endpoint is a URL, read so strictly that no two readers can differ. An address is public only if it is
known to be public. An address that leads to another counts as the other, or not at all. Pure: the look-up and
the connection are in public_line.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from pns.settings.rules import DEFAULT_PORTS, Origin, parse_origin

IPAddress = IPv4Address | IPv6Address

MAX_ENDPOINT = 2000
"""Characters. UnifiedPush has at most 1000; browsers' are at most a few hundred."""
MOST_POSSIBLE = 1000
"""Origins that are not judged again. Clients choose the origins, so the number of origins has no bound."""

_URL = re.compile(r"(https?://[^/?#\\]+)(/[!-~]*)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_OWN_DOMAINS = frozenset(
    (
        # Of one network or machine: RFC 6761, RFC 6762 with its appendix G, RFC 8375, ICANN's `internal`.
        *("local", "localhost", "localdomain", "internal", "home.arpa"),
        *("intranet", "private", "corp", "home", "lan"),
    )
)

_GLOBAL_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_NOT_PUBLIC: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("168.63.129.16/32"),  # the machine's own host, in Azure
    IPv4Network("192.0.0.0/24"),  # of the protocols themselves (RFC 6890); older Pythons know only a part
    IPv4Network("192.88.99.0/24"),  # relays of 6to4 (RFC 7526)
    IPv6Network("2001::/23"),  # of the protocols themselves, with Teredo
    IPv6Network("2002::/16"),  # 6to4: leads to an IPv4 address
    IPv6Network("3fff::/20"),  # for documentation (RFC 9637)
)


class ForbiddenEndpoint(ValueError):
    """A forbidden endpoint. The message says the rule, and nothing of the addresses found."""


NOT_PUBLIC = (
    "must be an https URL on port 443 of a host that has only public addresses, "
    "or in a network of `push.webpush.allowed_networks`"
)
"""The same words for all addresses of a name, and for a name that does not exist: else clients could map the
network.
"""


class Endpoint(NamedTuple):
    """An endpoint's origin, and the rest of its URL, from the first slash on."""

    origin: Origin
    target: str

    @property
    def host(self) -> str:
        """The name or address to look up: an IPv6 address without brackets."""
        return self.origin.host.strip("[]")

    @property
    def port(self) -> int:
        return self.origin.port or DEFAULT_PORTS[self.origin.scheme]

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        return str(self.origin).partition("://")[2]

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Raises ForbiddenEndpoint unless `url` is http(s), of a host, without user and fragment."""
        return _endpoint(url)


@lru_cache(maxsize=128)
def _endpoint(url: str) -> Endpoint:
    """See Endpoint.parse. A push asks twice: for its circuit, and to be sent a moment later."""
    match = _URL.fullmatch(url) if len(url) <= MAX_ENDPOINT else None
    origin = parse_origin(match[1]) if match else None
    if match is None or origin is None or origin.port == 0 or "#" in match[2]:
        raise ForbiddenEndpoint(
            f"must be an https URL of at most {MAX_ENDPOINT} characters, without user and fragment"
        )
    return Endpoint(origin, match[2])


class Reach:
    """Which endpoints may be written to: https on port 443 at public addresses; in `networks` also http and
    every port.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network) for network in networks]
        self._possible: set[Origin] = set()

    def check(self, endpoint: Endpoint) -> None:
        """Raise ForbiddenEndpoint where no look-up can make the endpoint allowed."""
        if endpoint.origin in self._possible:  # the rule looks at nothing else, and asks nobody
            return
        self._look(endpoint)
        if len(self._possible) >= MOST_POSSIBLE:
            self._possible.clear()
        self._possible.add(endpoint.origin)

    def _look(self, endpoint: Endpoint) -> None:
        if not self._networks and not _is_usual(endpoint.origin.scheme, endpoint.port):
            raise ForbiddenEndpoint(NOT_PUBLIC)
        if ":" in endpoint.host or _NUMBER.fullmatch(endpoint.host.rstrip(".").rpartition(".")[2]):
            self.check_addresses([endpoint.host], scheme=endpoint.origin.scheme, port=endpoint.port)

    def may_be_public(self, name: str, *, scheme: str, port: int) -> bool:
        """Whether a proxy may be given `name`, whose addresses nobody here knows.

        A proxy stands inside the network, and may know names of the network. TLS keeps what is left of the
        danger: a host of the network has no certificate for a stranger's name.
        """
        labels = name.rstrip(".").split(".")
        own = labels[-1] in _OWN_DOMAINS or ".".join(labels[-2:]) in _OWN_DOMAINS
        possible = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)
        return possible and not own and not _NUMBER.fullmatch(labels[-1]) and _is_usual(scheme, port)

    def check_addresses(self, addresses: Iterable[str], *, scheme: str, port: int) -> None:
        """Raise ForbiddenEndpoint unless every one of `addresses` may be written to by `scheme` on `port`."""
        usual = _is_usual(scheme, port)
        for text in addresses:
            if not self._allows(text, usual=usual):
                raise ForbiddenEndpoint(NOT_PUBLIC)

    def _allows(self, text: str, *, usual: bool) -> bool:
        try:
            address = _plain(ip_address(text))
        except ValueError:  # 127.1, 0x7f000001 and the like, which only the system's resolver takes
            return False
        if any(address in network for network in self._networks):
            return True
        return usual and is_public(address)


def _is_usual(scheme: str, port: int) -> bool:
    """Whether scheme and port are the usual ones of the public internet. On another port of a public address
    any program may listen, and a push is a way to knock at the port.
    """
    return scheme == "https" and port == DEFAULT_PORTS["https"]


def is_public(address: IPAddress) -> bool:
    """Whether `address` is of the public internet, and leads nowhere else."""
    address = _plain(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special and not any(address in network for network in _NOT_PUBLIC)


def _plain(address: IPAddress) -> IPAddress:
    """The IPv4 address behind an IPv6 address: mapped, or behind NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
