"""The proxy on the way out, `outbound.proxy`: for gateways and for the issuer of access tokens.

Owns the proxy's address and its password, and prints the place alone. `auth.url` never goes this way, and no
proxy of the environment is ever used.
"""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from pns.runtime.bracketed import bracketed

if TYPE_CHECKING:
    import httpx2 as httpx


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `scheme`: `https` for TLS on the way to the proxy. `str` is the place, without login."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    @property
    def for_client(self) -> httpx.Proxy:
        """As a client of the HTTP library takes the proxy."""
        import httpx2 as httpx

        login = (self.user, self.password) if self.has_login else None
        return httpx.Proxy(str(self), auth=login, ssl_context=self.trust)

    @property
    def trust(self) -> ssl.SSLContext | None:
        """The certificates by which the proxy is trusted; None for a proxy without TLS."""
        return _system() if self.scheme == "https" else None

    @property
    def has_login(self) -> bool:
        return bool(self.user or self.password)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The login: RFC 9110 §11.7.2, RFC 7617."""
        if not self.has_login:
            return []
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [("Proxy-Authorization", f"Basic {login}")]


def refused(status: int) -> str:
    """The words for a proxy's answer to CONNECT."""
    return f"the proxy of outbound.proxy answered {status}: {_REMEDIES.get(status, _LET_PASS)}"


def told(error: Exception) -> str:
    """The words for an error of the HTTP library: what is wrong with the proxy, else the error's type.

    A ProxyError quotes the proxy's words after the proxy's status.
    """
    import httpx2 as httpx

    if not isinstance(error, httpx.ProxyError):
        return type(error).__name__
    status = re.match(r"[1-5][0-9]{2}\b", str(error))
    return refused(int(status[0])) if status else LOST


@cache
def _system() -> ssl.SSLContext:
    return ssl.create_default_context()


AWAY = "the proxy of outbound.proxy cannot be reached"
LOST = "the proxy of outbound.proxy ended the connection"
_LET_PASS = "let the proxy pass PNS on to this host and port"
_REMEDIES = {407: "put the proxy's user and password into outbound.proxy"}
