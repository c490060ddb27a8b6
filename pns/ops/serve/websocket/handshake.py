"""The opening handshake of RFC 6455, section 4: whether a request may open a WebSocket, and the bytes of the
answers. Pure.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode, b64encode
from http import HTTPStatus
from typing import NamedTuple

from pns.ops.serve.answers import BAD_REQUEST, Headers, Refusal

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_VERSION = b"13"

NOT_GET = Refusal(b"405 Method Not Allowed", "Open a WebSocket with GET (RFC 6455 §4.1).", (b"allow: GET",))
NO_UPGRADE = Refusal(
    b"426 Upgrade Required",
    "Send Connection: Upgrade, and Upgrade: websocket alone (RFC 6455 §4.1).",
    (b"upgrade: websocket",),
)
BAD_KEY = Refusal(b"400 Bad Request", "Send one Sec-WebSocket-Key: 16 bytes in base64 (RFC 6455 §4.1).")
BAD_VERSION = Refusal(
    b"426 Upgrade Required",
    "Send one Sec-WebSocket-Version: 13 (RFC 6455 §4.2.2).",
    (b"upgrade: websocket", b"sec-websocket-version: 13"),
)


class Head(NamedTuple):
    """The head of a request, as HTTP read the head. Names of `headers` are in lower case."""

    method: str
    target: bytes
    headers: Headers
    server: tuple[str, int | None] | None = None
    """The address that the peer connected to."""
    client: tuple[str, int] | None = None
    """The peer's address."""


class TakesHead(asyncio.Protocol):
    """A WebSocket of uvicorn's that takes a head as HTTP read the head: websocket_protocol.py.

    The base is apart from its one class, whose library takes a tenth of a start.
    """

    def begin(self, method: str, target: bytes, headers: Headers) -> None:
        """Take the handshake. Must follow `connection_made`."""
        raise NotImplementedError


def judge(head: Head) -> bytes | Refusal:
    """The value of Sec-WebSocket-Accept for a request that may open a WebSocket; else what is wrong.

    A request with a body is refused: the bytes after the head would be taken for frames.
    """
    if head.method != "GET":
        return NOT_GET
    keys, versions = list[bytes](), list[bytes]()
    connection, upgrade, origins = b"", b"", 0
    for name, value in head.headers:
        if name == b"sec-websocket-key":
            keys.append(value.strip())
        elif name == b"sec-websocket-version":
            versions.append(value.strip())
        elif name == b"origin":
            origins += 1
        elif name == b"connection":
            connection += b"," + value
        elif name == b"upgrade":
            upgrade += b"," + value
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return BAD_REQUEST
    if b"upgrade" not in _tokens(connection) or _tokens(upgrade) != [b"websocket"]:
        return NO_UPGRADE
    # RFC 6454 §7.3: a browser sends one origin.
    if len(versions) > 1 or origins > 1 or not head.target.isascii():
        return BAD_REQUEST
    if versions != [_VERSION]:
        return BAD_VERSION
    return _accept(keys[0]) if len(keys) == 1 and _is_key(keys[0]) else BAD_KEY


def _tokens(value: bytes) -> list[bytes]:
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _accept(key: bytes) -> bytes:
    return b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def offered(headers: Headers) -> list[str]:
    """The subprotocols that the peer offers, in their order."""
    values = [value for name, value in headers if name == b"sec-websocket-protocol"]
    return [token.strip() for value in values for token in value.decode("latin-1").split(",")]


def switching(accept: bytes, headers: Headers) -> bytes:
    """The head of the 101, with `headers` besides."""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accept, lines)
    )


def plain_answer(status: int, headers: Headers, body: bytes) -> bytes:
    """The whole answer of the application in place of a 101. The connection ends after the answer."""
    phrase = HTTPStatus(status).phrase.encode()
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b" % (status, phrase, lines, body)
