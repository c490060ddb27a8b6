"""What the server answers below the application: limits of a request's head, and the bytes of a refusal."""

from __future__ import annotations

MAX_LINE_BYTES = 65_536
MAX_HEAD_BYTES = 131_072
MAX_HEADERS = 256

TOO_LARGE = b"431 Request Header Fields Too Large"
BAD_REQUEST = b"400 Bad Request"
TOO_LATE = b"408 Request Timeout"
TOO_MANY = b"503 Service Unavailable"


def answer(status: bytes) -> bytes:
    """The whole answer of a connection that ends with it."""
    return b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
