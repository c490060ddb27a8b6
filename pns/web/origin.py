"""The Origin rule: which pages may use PNS with their visitors' cookies; and the CORS headers that follow.

Pure. The rule asks nobody and trusts no header of a proxy by itself: peer.py finds the peer's host and
scheme. The rule is the whole CSRF protection of the endpoints for devices, so a doubt is a refusal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pns.errors import OriginNotAllowed
from pns.runtime.one_line import printable
from pns.settings.rules import DEFAULT_PORTS, Origin, parse_host, parse_origin
from pns.web.peer import Peer

Headers = Iterable[tuple[bytes, bytes]]

_PREFLIGHT_SECONDS = b"600"
_NOT_FOR_SCRIPTS = {"cookie", "origin"}


def check_origin(headers: Headers, peer: Peer, allowed_origins: Collection[str]) -> str | None:
    """Return if a page of this origin may go on: its origin, as sent, if it is a foreign one, else None.

    None is also the answer to a request without `Origin`, which no page of another site can make. A foreign
    origin is one of `allowed_origins`, in any scheme; one's own has the peer's host and port, but is never
    http on https. Raises OriginNotAllowed, whose message names both sides and the setting.
    """
    headers = list(headers)
    origins = _values(headers, b"origin")
    if not origins:
        _check_fetch_site(_values(headers, b"sec-fetch-site"), peer)
        return None
    origin = parse_origin(origins[0])
    if len(origins) > 1 or origin is None:
        raise _refusal(", ".join(origins), peer)
    if _is_own(origin, peer):
        return None
    if origin in {parse_origin(entry) for entry in allowed_origins}:
        return origins[0]
    raise _refusal(origins[0], peer)


def is_link(method: str, headers: Headers) -> bool:
    """Whether a browser opens a page because somebody follows a link, of whatever site."""
    headers = list(headers)
    return (
        method in ("GET", "HEAD")
        and not _values(headers, b"origin")
        and _values(headers, b"sec-fetch-mode") == ["navigate"]
        and _values(headers, b"sec-fetch-dest") == ["document"]
    )


def sent_origin(headers: Headers) -> str:
    """The origin of the page that asks, as sent; "" for none. Must follow `check_origin`."""
    return ", ".join(_values(headers, b"origin"))


def is_own_origin(origin: str, peer: Peer) -> bool:
    """Whether `origin` is that of PNS's own pages, as `peer` knows PNS."""
    parsed = parse_origin(origin)
    return parsed is not None and _is_own(parsed, peer)


def _check_fetch_site(sites: list[str], peer: Peer) -> None:
    # Browsers send it where they leave Origin out: https://www.w3.org/TR/fetch-metadata/
    if any(site.lower() in ("cross-site", "same-site") for site in sites):
        raise _refusal(f"none, with Sec-Fetch-Site: {', '.join(sites)}", peer)


def _is_own(origin: Origin, peer: Peer) -> bool:
    default = DEFAULT_PORTS.get(origin.scheme)
    host = parse_host(peer.host)
    if default is None or host is None or (origin.scheme == "http" and peer.scheme == "https"):
        return False
    name, port = host
    return origin.host == name and origin.port == (None if port == default else port)


def _refusal(origin: str, peer: Peer) -> OriginNotAllowed:
    return OriginNotAllowed(
        f"The page's origin ({printable(origin, 200)}) is neither that of this PNS "
        f"({peer.scheme}, host {printable(peer.host, 200) or 'unknown'}) nor in server.allowed_origins. "
        "Add it there, or let your proxy pass Host on, or list the proxy in server.trusted_proxies."
    )


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip(" \t") for key, value in headers if key.lower() == name]


def cors_headers(origin: str) -> list[tuple[bytes, bytes]]:
    """The headers of every answer to `origin`, as `check_origin` returned it: credentials, Retry-After."""
    return [
        (b"access-control-allow-origin", origin.encode("ascii")),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]


def preflight_headers(origin: str, forward_headers: Iterable[str] = ()) -> list[tuple[bytes, bytes]]:
    """The headers of the answer to OPTIONS: `cors_headers`, and what the request proper may be.

    A page may set `authorization`, `content-type`, and those of `forward_headers` that a script can set.
    """
    names = ({"authorization", "content-type"} | set(forward_headers)) - _NOT_FOR_SCRIPTS
    return [
        *cors_headers(origin),
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", ", ".join(sorted(names)).encode("ascii")),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
    ]
