"""Which headers of a device's request the application is asked with.

A pure selection. The allow-list decides first. Then the headers are taken away that HTTP forbids to pass on,
then PNS's own cookie. Nothing is added, and no header but `cookie` is changed. Values are bytes as they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from pns.settings.rules import is_never_forwarded

Header = tuple[bytes, bytes]

SENT_BY_ALL = (b"accept-language", b"user-agent", b"origin")
"""Headers that a browser sends without any login."""


def forwarded_headers(
    raw_headers: Iterable[Header], *, allow: Collection[str], cookie_name: str
) -> tuple[Header, ...]:
    """The headers on the list `allow`, in their order, names in lower case, values byte for byte; white space
    around a value is not part of it (RFC 9110 §5.5).

    Several `cookie` headers become one header, joined with "; " (RFC 9113 §8.2.3), without the cookie
    `cookie_name`. Without another cookie, no `cookie` header is left. Three kinds of headers are left out
    even if `allow` names them: headers of one hop, headers named in `Connection`, and headers that PNS sets
    itself (`is_never_forwarded`).
    """
    allowed, options, kept = _allowed(tuple(allow)), b"", list[Header]()
    for name, value in raw_headers:
        name = name.lower()
        if name in allowed:
            kept.append((name, value.strip(b" \t")))
        elif name == b"connection":
            options += b"," + value
    named = {option.strip(b" \t") for option in options.lower().split(b",")}
    if not allowed.isdisjoint(named):
        kept = [header for header in kept if header[0] not in named]
    return _with_one_cookie(kept, cookie_name.encode())


@lru_cache(maxsize=16)
def _allowed(allow: tuple[str, ...]) -> frozenset[bytes]:
    """What a setting allows: read once, and not with each request."""
    names = (name.lower() for name in allow)
    return frozenset(name.encode("latin-1", "replace") for name in names if not is_never_forwarded(name))


def _with_one_cookie(headers: Sequence[Header], cookie_name: bytes) -> tuple[Header, ...]:
    cookies = [value for name, value in headers if name == b"cookie" and value]
    left = without_cookie(b"; ".join(cookies), cookie_name)
    result: list[Header] = []
    for name, value in headers:
        if name != b"cookie":
            result.append((name, value))
        elif left:
            result.append((name, left))
            left = b""
    return tuple(result)


def without_cookie(cookie: bytes, cookie_name: bytes) -> bytes:
    """The value of a `cookie` header without every cookie of that name; the others byte for byte."""
    pairs = cookie.split(b";")
    kept = [pair for pair in pairs if pair.partition(b"=")[0].strip(b" \t") != cookie_name]
    if len(kept) == len(pairs):
        return cookie
    return b";".join(kept).strip(b" \t")
