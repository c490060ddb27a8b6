"""The URL of an HTTP proxy, `outbound.proxy`. Raises ValueError as address.py does. Pure."""

from __future__ import annotations

from typing import NamedTuple

from pns.settings.address import read
from pns.settings.rules import DEFAULT_PORTS


class ProxyURL(NamedTuple):
    """An HTTP proxy. `scheme`: `https` for TLS on the way to the proxy. `user`: empty without a login."""

    scheme: str
    host: str
    port: int
    user: str
    password: str


def proxy(text: str) -> ProxyURL:
    """The proxy at an `http://` or `https://` URL."""
    parts = read(text, ("http", "https"))
    if parts.path or parts.options:
        raise ValueError("must end after the host and the port, such as http://proxy.internal:3128")
    host = parts.host
    if not (parts.user + parts.password).isprintable() or ":" in parts.user:
        raise ValueError("must have a user without : and control characters")
    return ProxyURL(
        parts.scheme, host.name, host.port or DEFAULT_PORTS[parts.scheme], parts.user, parts.password
    )
