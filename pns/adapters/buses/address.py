"""What every broker's address needs: the keepalive of its line, and a URL that is read or refused."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TypeVar

from pns.errors import SettingsError

T = TypeVar("T")

KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
"""Socket options: seconds of silence, seconds between probes, probes. For NAT gateways and dead brokers."""


def parse(url: str, reader: Callable[[str], T]) -> T:
    """The parts of `bus.url`. Raises SettingsError, without any part of `url`, for an impossible URL."""
    try:
        return reader(url)
    except ValueError as error:
        raise SettingsError(f"bus.url {error}") from None
