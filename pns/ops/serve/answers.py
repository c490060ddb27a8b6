"""What the server itself refuses, below the application: the limits of a request's head, what is no HTTP/1.1
(RFC 9112), and the bytes of a refusal. A refusal is the last answer of its connection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

MAX_LINE_BYTES = 65_536
MAX_HEAD_BYTES = 131_072
MAX_HEADERS = 256

Headers = Sequence[tuple[bytes, bytes]]

_HOST = re.compile(rb"(?:\[[0-9A-Za-z:._~%-]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
"""RFC 9110 §7.2: `uri-host [":" port]`; empty where the target has no authority."""

HTTP_09 = re.compile(rb"[\r\n]*[A-Z]+ [^ \r\n]+\r?\n")
"""A request of HTTP/0.9 is this line alone: its peer sends no end of a head, and waits."""


class Refusal(NamedTuple):
    """`status` is the status line's end. `detail` is the remedy; a refusal without one has no body.
    `headers`: the lines that the status requires.
    """

    status: bytes
    detail: str = ""
    headers: tuple[bytes, ...] = ()


TOO_LARGE = Refusal(b"431 Request Header Fields Too Large")
TOO_LATE = Refusal(b"408 Request Timeout")
TOO_MANY = Refusal(
    b"503 Service Unavailable",
    "Too many requests wait on this connection. Read answers first.",
    (b"retry-after: 1",),
)
BAD_REQUEST = Refusal(
    b"400 Bad Request", "This is no request of HTTP/1.1 (RFC 9112). Nothing of it was done."
)
BAD_HOST = Refusal(b"400 Bad Request", "Send one Host line, with a host and a port alone (RFC 9112 §3.2).")
BAD_VERSION = Refusal(b"400 Bad Request", "PNS speaks HTTP/1.1 and HTTP/1.0 alone. Send one of them.")
BAD_FRAMING = Refusal(
    b"400 Bad Request",
    "PNS reads Content-Length, and Transfer-Encoding: chunked in HTTP/1.1. Send one of them.",
)


def answer(refusal: Refusal) -> bytes:
    """The whole answer; a body is a problem of RFC 9457 without a `type`, so its `title` is the status's."""
    body = b""
    lines = [b"HTTP/1.1 " + refusal.status, b"connection: close"]
    if refusal.detail:
        status, _, title = refusal.status.decode().partition(" ")
        body = msgspec.json.encode({"title": title, "status": int(status), "detail": refusal.detail})
        lines.append(b"content-type: application/problem+json")
    lines += [*refusal.headers, b"content-length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


def wrong_with(version: str, url: bytes, headers: Headers) -> Refusal | None:
    """Why a head is refused; None for one that is well. Names of `headers` are in lower case."""
    hosts, longest, size = 0, len(url) + 16, len(url) + 16
    for name, value in headers:
        line = len(name) + len(value) + 4
        size += line
        if line > longest:
            longest = line
        if name == b"host":
            hosts += 1
            if _HOST.fullmatch(value) is None:
                return BAD_HOST
        elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version != "1.1"):
            # RFC 9112 §6.1: a proxy may read the end of such a request elsewhere.
            return BAD_FRAMING
    if len(headers) >= MAX_HEADERS or longest > MAX_LINE_BYTES or size > MAX_HEAD_BYTES:
        return TOO_LARGE
    if version not in ("1.1", "1.0"):
        return BAD_VERSION
    return None if hosts == 1 or (hosts == 0 and version == "1.0") else BAD_HOST


def origin_form(target: bytes) -> bytes:
    """The path and the query of a target that is a whole URL, as RFC 9112 §3.2.2 lets a client write it."""
    rest = target.partition(b"://")[2].partition(b"/")
    return rest[1] + rest[2] or target


def head_without_upgrade(method: bytes, url: bytes, version: str, *, headers: Headers) -> bytes:
    """The bytes of a head without its offer of another protocol: RFC 9110 §7.8 lets a server ignore that."""
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    for name, value in headers:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option.lower() != b"upgrade")
        if name != b"upgrade":
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
