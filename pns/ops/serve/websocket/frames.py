"""The frames of RFC 6455, section 5: bytes in, frames out, and frames as bytes. Pure; without extensions.

`next_frame` reads a frame of a client. `Fragments` puts the frames of a message together.
"""

from __future__ import annotations

from typing import NamedTuple

from websockets.frames import (  # type: ignore[attr-defined]  # the name is C where C is built
    Close,
    apply_mask,
)

from pns.model.messages import CloseCode

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80
PROTOCOL_ERROR = 1002

MAX_FRAGMENTS = 1024
"""Of a message. `limits.max_message_bytes` does not bound empty fragments."""

_OPCODES = frozenset((CONT, TEXT, BINARY, CLOSE, PING, PONG))
_LONGEST_CONTROL = 125


class Broken(Exception):
    """The peer broke the protocol or a limit. The line ends with `code` and the text of this error."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Frame(NamedTuple):
    """A whole frame. `end`: where the next frame begins."""

    opcode: int
    is_last: bool
    payload: bytes
    end: int


def next_frame(data: bytes, at: int, *, most: int) -> Frame | None:
    """The frame at `at`; None for an incomplete frame.

    Raises Broken for a broken frame, complete or not. `most`: the largest payload of a message, in bytes.
    """
    if len(data) - at < 2:
        return None
    first, second = data[at], data[at + 1]
    opcode, length = first & 0x0F, second & 0x7F
    _check(first, second)
    start = at + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        if len(data) < start + size:
            return None
        length = int.from_bytes(data[start : start + size])
        start += size
    if length > most and opcode < CLOSE:
        raise Broken(CloseCode.MESSAGE_TOO_BIG, f"more than {most} bytes")
    end = start + 4 + length
    if len(data) < end:
        return None
    payload = apply_mask(data[start + 4 : end], data[start : start + 4])
    return Frame(opcode, first >= FIN, payload, end)


def _check(first: int, second: int) -> None:
    opcode = first & 0x0F
    if first & 0x70:
        raise Broken(PROTOCOL_ERROR, "reserved bits must be 0")
    if opcode not in _OPCODES:
        raise Broken(PROTOCOL_ERROR, "invalid opcode")
    if not second & 0x80:
        raise Broken(PROTOCOL_ERROR, "incorrect masking")
    if opcode >= CLOSE and second & 0x7F > _LONGEST_CONTROL:
        raise Broken(PROTOCOL_ERROR, "control frame too long")
    if opcode >= CLOSE and first < FIN:
        raise Broken(PROTOCOL_ERROR, "fragmented control frame")


class Fragments:
    """The beginning of a message: `size` bytes."""

    __slots__ = ("_opcode", "_parts", "size")

    def __init__(self, begin: Frame) -> None:
        self._opcode = begin.opcode
        self._parts = [begin.payload]
        self.size = len(begin.payload)

    def add(self, frame: Frame) -> None:
        """Raises Broken for too many fragments."""
        if len(self._parts) >= MAX_FRAGMENTS:
            raise Broken(CloseCode.MESSAGE_TOO_BIG, f"more than {MAX_FRAGMENTS} fragments")
        self._parts.append(frame.payload)
        self.size += len(frame.payload)

    def message(self) -> str | bytes:
        """The whole message. Raises Broken for a text in another encoding than UTF-8."""
        return message_of(self._opcode, b"".join(self._parts))


def message_of(opcode: int, payload: bytes) -> str | bytes:
    """The message of frames, the first with `opcode`. Raises as `Fragments.message` does."""
    if opcode == BINARY:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Broken(CloseCode.INVALID_TEXT, "not UTF-8") from None


def check_close(payload: bytes) -> None:
    """Raises Broken for the payload of a forbidden close frame (RFC 6455, section 7.4)."""
    try:
        Close.parse(payload)
    except UnicodeDecodeError:
        raise Broken(CloseCode.INVALID_TEXT, "not UTF-8") from None
    except Exception as error:
        raise Broken(PROTOCOL_ERROR, str(error)) from None


def frame(opcode: int, payload: bytes) -> bytes:
    """A frame of the server: whole, and without a mask."""
    size = len(payload)
    if size < 126:
        return bytes((FIN | opcode, size)) + payload
    if size < 65_536:
        return b"%c\x7e%b%b" % (FIN | opcode, size.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (FIN | opcode, size.to_bytes(8), payload)


def close_frame(code: int, reason: str) -> bytes:
    """The close frame of the server."""
    return frame(CLOSE, code.to_bytes(2) + reason.encode())
