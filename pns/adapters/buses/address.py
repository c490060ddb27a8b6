"""The host, port and credentials in `bus.url`, checked before anything is connected."""

from __future__ import annotations

import socket
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pns.errors import SettingsError

KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
"""Socket options: seconds of silence, seconds between probes, probes. For NAT gateways and dead brokers."""


class Address(NamedTuple):
    """The parts of a URL, percent-decoded; `user` and `password` are empty when the URL has none."""

    host: str
    port: int
    user: str
    password: str
    path: str


def parse(url: str, *, port: int) -> Address:
    """The address in `url`. Raises SettingsError, without any part of `url`, for a missing host or an
    impossible port.
    """
    parts = split(url)
    if not parts.hostname:
        raise SettingsError("bus.url must name a host")
    return Address(
        parts.hostname,
        parts.port or port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        unquote(parts.path.strip("/")),
    )


def split(url: str) -> SplitResult:
    """The parts of `url`. Raises SettingsError, without any part of `url`, when the parts cannot be told
    apart.
    """
    try:
        parts = urlsplit(url)
        assert parts.port is None or parts.port > 0
    except (ValueError, AssertionError):
        # A password with an unescaped / or # ends here: its rest is read as the port.
        raise SettingsError(
            "bus.url must be scheme://user:password@host:port; in a password write @ / : # ? as %40 %2F …"
        ) from None
    return parts
