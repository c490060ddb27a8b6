"""Frames of HTTP/2, from bytes and to bytes (RFC 9113 §4, §6). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MOST_PAYLOAD = 16_384
"""Bytes of a frame's payload, in both directions: the bound without a setting."""

_HEAD = struct.Struct(">BHBBI")
_NUMBER = struct.Struct(">I")
_SETTING = struct.Struct(">HI")


class Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_HEADER_LIST_SIZE = 6


ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20

NO_ERROR = 0
PROTOCOL_ERROR = 1
CANCEL = 8


class Malformed(Exception):
    """Bytes that no peer may send. The message is PNS's own and quotes nothing."""


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """The number that is the whole payload, without its highest bit. Raises Malformed."""
        if len(self.payload) != 4:
            raise Malformed("a frame of the wrong length")
        return int.from_bytes(self.payload, "big") & 0x7FFF_FFFF

    @property
    def content(self) -> bytes:
        """The payload without padding and priority. Raises Malformed."""
        begin, end = 0, len(self.payload)
        if self.flags & PADDED:
            begin, end = 1, end - (self.payload[0] if self.payload else 0)
        if self.kind == Kind.HEADERS and self.flags & PRIORITY:
            begin += 5
        if begin > end:
            raise Malformed("more padding than payload")
        return self.payload[begin:end]

    @property
    def settings(self) -> list[tuple[int, int]]:
        """Names and values, in order. Raises Malformed."""
        if len(self.payload) % 6:
            raise Malformed("settings of the wrong length")
        return list(_SETTING.iter_unpack(self.payload))


class Frames:
    """Reads frames from a connection's bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises Malformed, after the frames before the broken frame."""
        buffer, at = self._buffer, 0
        buffer += data
        while len(buffer) - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(buffer, at)
            length = high << 16 | low
            if length > MOST_PAYLOAD:
                raise Malformed("a frame is too large")
            if len(buffer) - at < 9 + length:
                break
            payload = bytes(buffer[at + 9 : at + 9 + length])
            at += 9 + length
            yield Frame(kind, flags, stream & 0x7FFF_FFFF, payload)
        del buffer[:at]


def frame(kind: Kind, flags: int, stream: int, *, payload: bytes = b"") -> bytes:
    length = len(payload)
    return _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    payload = b"".join(_SETTING.pack(name, value) for name, value in values.items())
    return frame(Kind.SETTINGS, 0, 0, payload=payload)


def with_number(kind: Kind, stream: int, number: int) -> bytes:
    """A frame whose payload is `number`."""
    return frame(kind, 0, stream, payload=_NUMBER.pack(number))


def goodbye(error: int) -> bytes:
    """GOAWAY: no stream of the peer's was ever taken."""
    return frame(Kind.GOAWAY, 0, 0, payload=_NUMBER.pack(0) + _NUMBER.pack(error))


def head(stream: int, block: bytes, *, ends: bool) -> bytes:
    """HEADERS with all of `block`, and as many CONTINUATION as that takes."""
    parts = [block[at : at + MOST_PAYLOAD] for at in range(0, len(block), MOST_PAYLOAD)] or [b""]
    frames = []
    for number, part in enumerate(parts):
        kind = Kind.CONTINUATION if number else Kind.HEADERS
        flags = (END_HEADERS if part is parts[-1] else 0) | (END_STREAM if ends and not number else 0)
        frames.append(frame(kind, flags, stream, payload=part))
    return b"".join(frames)
