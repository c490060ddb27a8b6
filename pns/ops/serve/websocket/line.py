"""One WebSocket of `pns serve`: the event loop's protocol on one side, a transport of live/ on the other.

A message is handed to the hearer, one at a time. Frames are read while the hearer is busy, up to the next
message. Bytes behind that message wait in `_rest`, at most a read of the event loop.

    state    event                effect                                              next state
    OPENING  bytes                kept; too many of them: the peer is dropped         OPENING
    OPENING  accept(head)         the 101; the bytes are read                         HELD
    OPENING  refuse(answer)       the answer, then the end of TCP                     ENDED
    HELD     park(hearer)         none                                                FREE
    FULL     park(hearer)         hearer.hear                                         HELD
    FREE     a whole message      hearer.hear                                         HELD
    HELD     a whole message      kept; reading stops                                 FULL
    HELD     go_on()              none                                                FREE
    FULL     go_on()              hearer.hear; the rest is read                       HELD
    F, H     a ping               the pong                                            same
    F, H     a close frame        the echo, the end of TCP; hearer.lost               ENDED
    F, H     a broken frame       a close frame, the end of TCP; hearer.lost          ENDED
    F, H     no pong in time      the same, or the peer is dropped                    ENDED
    F, H     send_close(code)     a close frame; the rest is read                     CLOSING
    CLOSING  a message, a ping    none                                                CLOSING
    CLOSING  a close frame        the end of TCP                                      ENDED
    CLOSING  CLOSE_SECONDS        the end of TCP                                      ENDED
    ENDED    park(hearer)         hearer.lost                                         ENDED
    any      connection_lost      hearer.lost                                         ENDED

F, H is FREE, HELD or FULL. A peer that does not read is not read from. The end of TCP waits for the last
bytes, `Lines.flush_seconds` at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from enum import IntEnum
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected

from pns.live.transport import Hearer
from pns.model.messages import CloseCode
from pns.ops.serve.answers import Refusal, answer
from pns.ops.serve.websocket.frames import (
    CLOSE,
    CONT,
    PING,
    PONG,
    PROTOCOL_ERROR,
    Broken,
    Fragments,
    Frame,
    check_close,
    close_frame,
    frame,
    message_of,
    next_frame,
)
from pns.ops.serve.websocket.lines import Lines

MAX_EARLY_BYTES = 16_384
"""How much a peer may send before its 101. A client waits for the 101 (RFC 6455, section 4.1)."""
CLOSE_SECONDS = 10.0
"""How long a peer may take to answer a close frame."""
FAILED = Refusal(b"500 Internal Server Error", "PNS failed; its log says why.")
GOING_DOWN = Refusal(
    b"503 Service Unavailable", "This node is going down. Connect again.", (b"retry-after: 1",)
)


class Phase(IntEnum):
    """In the order of a line's life: see the table above."""

    OPENING = 0
    FREE = 1
    HELD = 2
    FULL = 3
    CLOSING = 4
    ENDED = 5


_FREE, _HELD, _FULL = Phase.FREE, Phase.HELD, Phase.FULL
_CLOSING, _ENDED = Phase.CLOSING, Phase.ENDED


class Line(asyncio.Protocol):
    """See the table of states above. `connections`: of the server, where the line is as long as it lives."""

    __slots__ = (
        "__weakref__",
        "_asked",
        "_at",
        "_connections",
        "_fragments",
        "_hearer",
        "_lines",
        "_phase",
        "_rest",
        "_timer",
        "_waiting",
        "_writable",
        "ping_at",
        "transport",
    )

    def __init__(self, lines: Lines, transport: asyncio.Transport, connections: set[Any]) -> None:
        self._lines = lines
        self._connections = connections
        self.transport = transport
        self._phase = Phase.OPENING
        self._hearer: Hearer | None = None
        # The bytes that are to be read, from `_at` on.
        self._rest = b""
        self._at = 0
        self._fragments: Fragments | None = None
        # The message of a FULL line.
        self._waiting: str | bytes = ""
        # None while the send buffer takes more.
        self._writable: asyncio.Event | None = None
        # The payload of the ping that is not answered yet.
        self._asked: bytes | None = None
        self.ping_at = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        connections.add(self)

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._phase is _ENDED or self.transport.is_closing()

    # ── the opening ───────────────────────────────────────────────────────────────────────────────────

    def accept(self, head: bytes) -> None:
        """Send the 101. `park` or `give_up` must follow."""
        self.transport.write(head)
        self._phase = _HELD
        self.ping_at = asyncio.get_running_loop().time() + self._lines.ping_seconds
        self._read()

    def refuse(self, answer: bytes) -> None:
        """Send an answer of HTTP, which is the last."""
        self.transport.write(answer)
        self._end()

    def give_up(self) -> None:
        """The opening is over: a line that nobody hears ends."""
        if self._phase is Phase.OPENING and not self.transport.is_closing():
            self.refuse(answer(FAILED))
        elif self._phase < _CLOSING and self._hearer is None:
            self._fail(Broken(CloseCode.INTERNAL_ERROR, CloseCode.INTERNAL_ERROR.cause))

    # ── pns.live.transport.Parkable ───────────────────────────────────────────────────────────────────

    def blocked(self) -> Awaitable[object] | None:
        return None if self._writable is None else self._writable.wait()

    def send_text(self, text: str) -> None:
        transport, lines = self.transport, self._lines
        if self._phase > _FULL or transport.is_closing():
            raise ClientDisconnected
        transport.write(lines.last_frame if text is lines.last_text else lines.frame(text))

    async def send_close(self, code: int, reason: str) -> None:
        while self._writable is not None:
            await self._writable.wait()
        if self.is_lost:
            raise ClientDisconnected
        if self._phase is not _CLOSING:
            self.transport.write(close_frame(code, reason))
            self._hearer, self._phase = None, _CLOSING
            seconds = min(CLOSE_SECONDS, self._lines.flush_seconds)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._end, seconds)
            self._read()

    def abort(self) -> None:
        self.transport.abort()

    def park(self, hearer: Hearer) -> None:
        if self._phase is _ENDED:
            hearer.lost()
        else:
            self._hearer = hearer
            self.go_on()

    def go_on(self) -> None:
        if self._phase is _HELD:
            self._phase = _FREE
        elif self._phase is _FULL and self._hearer is not None:
            self._phase, message = _HELD, self._waiting
            self._waiting = ""
            self._hearer.hear(message)
            self._read()

    # ── asyncio.Protocol ──────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        if self._phase is _ENDED:
            return
        self._rest = self._rest[self._at :] + data if self._rest else data
        self._at = 0
        if self._phase is not Phase.OPENING:
            self._read()
        elif len(self._rest) > MAX_EARLY_BYTES:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writable is not None:
            self.resume_writing()
        self._leave()
        if exc is None:
            self.transport.close()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()
        self._mind_reading()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None
            self._mind_reading()

    # ── uvicorn's server ──────────────────────────────────────────────────────────────────────────────

    def shutdown(self) -> None:
        """End at once, and say so to a peer that was not told yet."""
        if self._phase is Phase.OPENING and not self.transport.is_closing():
            self.transport.write(answer(GOING_DOWN))
        elif self._phase < _CLOSING and not self.transport.is_closing():
            self.transport.write(close_frame(CloseCode.RESTART, ""))
        self._end()

    # ── pings ─────────────────────────────────────────────────────────────────────────────────────────

    def ping(self, now: float, *, payload: bytes) -> None:
        self.ping_at = now + self._lines.ping_seconds
        if self._phase > _FULL or self.transport.is_closing():
            return
        if self._asked is None:
            self._asked = payload
            self.transport.write(frame(PING, payload))
        elif self.transport.get_write_buffer_size():
            self.abort()
        else:
            self._fail(Broken(CloseCode.INTERNAL_ERROR, "keepalive ping timeout"))

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        """Take the whole frames that have come, until the line is full."""
        try:
            while self._phase is not _FULL and self._phase is not _ENDED:
                found = next_frame(self._rest, self._at, most=self._most())
                if found is None:
                    break
                self._at = found.end
                self._take(found)
        except Broken as broken:
            self._fail(broken)
        if self._at >= len(self._rest) or self._phase is _ENDED:
            self._rest, self._at = b"", 0
        self._mind_reading()

    def _most(self) -> int:
        return self._lines.most_bytes - (0 if self._fragments is None else self._fragments.size)

    def _take(self, found: Frame) -> None:
        if found.opcode < CLOSE:
            self._take_data(found)
        elif found.opcode == CLOSE:
            self._take_close(found.payload)
        elif found.opcode == PONG:
            if found.payload == self._asked:
                self._asked = None
        elif self._phase is not _CLOSING and not self.transport.is_closing():
            self.transport.write(frame(PONG, found.payload))

    def _take_data(self, found: Frame) -> None:
        begun = self._fragments
        if (found.opcode == CONT) is (begun is None):
            wanted = "unexpected" if begun is None else "expected a"
            raise Broken(PROTOCOL_ERROR, f"{wanted} continuation frame")
        if begun is None and found.is_last:
            self._hand_over(message_of(found.opcode, found.payload))
            return
        if begun is None:
            self._fragments = begun = Fragments(found)
        else:
            begun.add(found)
        if found.is_last:
            self._fragments = None
            self._hand_over(begun.message())

    def _hand_over(self, message: str | bytes) -> None:
        if self._phase is _FREE and self._hearer is not None:
            self._phase = _HELD
            self._hearer.hear(message)
        elif self._phase is _HELD:
            self._phase, self._waiting = _FULL, message

    def _take_close(self, payload: bytes) -> None:
        check_close(payload)
        if self._fragments is not None:
            raise Broken(PROTOCOL_ERROR, "incomplete fragmented message")
        if self._phase is not _CLOSING and not self.transport.is_closing():
            self.transport.write(frame(CLOSE, payload))
        self._end()

    def _mind_reading(self) -> None:
        """Read, or stop to."""
        if self.transport.is_closing():
            return
        if self._phase is _FULL or self._writable is not None:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────

    def _fail(self, broken: Broken) -> None:
        if self._phase < _CLOSING and not self.transport.is_closing():
            self.transport.write(close_frame(broken.code, str(broken)))
        self._end()

    def _end(self, waited: float = 0.0) -> None:
        """Close when the last bytes have gone, or after a while without them. `waited`: a part of that."""
        if self._timer is not None:
            self._timer.cancel()
        seconds = self._lines.flush_seconds - waited
        self._timer = asyncio.get_running_loop().call_later(seconds, self.transport.abort)
        self.transport.close()
        self._leave()

    def _leave(self) -> None:
        """Nothing is read and nobody hears any more."""
        self._phase = _ENDED
        self._rest, self._at, self._fragments, self._waiting = b"", 0, None, ""
        hearer, self._hearer = self._hearer, None
        if hearer is not None:
            hearer.lost()
