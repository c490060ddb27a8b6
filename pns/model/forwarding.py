"""Which headers of a device's request the application is asked with.

A pure selection: the allow-list decides first, then what HTTP itself forbids to pass on is taken away, then
PNS's own cookie. It never adds and never rewrites a header but `cookie`. Values are bytes as they came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

Header = tuple[bytes, bytes]

NEVER_FORWARDED = frozenset(
    (
        # Of one hop only (RFC 9110 §7.6.1), or framing of a message that PNS does not pass on.
        *(b"connection", b"expect", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info"),
        *(b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
        *(b"content-encoding", b"content-length", b"http2-settings"),
        # What PNS says itself; from a device it would be a lie or a second opinion.
        *(b"accept", b"accept-encoding", b"host", b"x-forwarded-for", b"x-forwarded-proto"),
        *(b"x-pns-device-id", b"x-pns-host", b"x-pns-question"),
    )
)
_NEVER_PREFIX = b"sec-websocket-"


def forwarded_headers(
    raw_headers: Iterable[Header], *, allow: Collection[str], cookie_name: str
) -> tuple[Header, ...]:
    """The headers on the list `allow`, in their order, names in lower case, values byte for byte; white space
    around a value is not part of it (RFC 9110 §5.5).

    Several `cookie` headers become one, joined with "; " (RFC 9113 §8.2.3), without the cookie
    `cookie_name`; if nothing is left of it, there is no `cookie` header. Headers of one hop, those named in
    `Connection`, and those that PNS sets itself are left out even if they are on the list.
    """
    headers = [(name.lower(), value.strip(b" \t")) for name, value in raw_headers]
    refused = NEVER_FORWARDED | _named_in_connection(headers)
    allowed = frozenset(name.lower().encode("latin-1", "replace") for name in allow) - refused
    kept = [header for header in headers if header[0] in allowed and not header[0].startswith(_NEVER_PREFIX)]
    return _with_one_cookie(kept, cookie_name.encode())


def _named_in_connection(headers: Sequence[Header]) -> frozenset[bytes]:
    named = (token for name, value in headers if name == b"connection" for token in value.split(b","))
    return frozenset(token.strip(b" \t").lower() for token in named)


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
