"""The questions on one connection, and their answers: HTTP/2 without I/O (RFC 9113).

`receive` takes the connection's bytes, and `take` returns the bytes to send. After either and after `begin`,
`ask` and `forget`, you must send what `take` returns.

state    event                              effect                                     next state
OPEN     ask(question), a stream is free    HEADERS, and DATA as the windows allow     OPEN
OPEN     ask(question), no stream is free   waits for a stream                         OPEN
OPEN     the answer is complete             the question's `done`                      OPEN
OPEN     GOAWAY                             what waits, and what the server will not   ENDING
                                            answer, is lost
any      a stream is reset, nonsense, end   everything is lost                         LOST
ENDING   the last answer is complete        nothing is left to wait for                ENDING, idle
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pns.runtime.http2 import frames
from pns.runtime.http2.fields import Field, block, read
from pns.runtime.http2.frames import Frame, Frames, Kind, Malformed, Setting

MOST_HEAD = 65_536
"""Bytes of an answer's fields."""
MOST_BODY = 65_536
"""Bytes kept of an answer's body."""
_WINDOW = 65_535
"""Of a stream and of a connection, in both directions, until a peer says something else."""
_OWN_WINDOW = 2**20
"""Bytes of a stream that the server may send ahead. Only the beginning is kept."""
_OWN_WHOLE_WINDOW = 2**24
"""Likewise of the connection."""
_STATUS = re.compile(r"[1-9][0-9]{2}", re.ASCII)
_MOST_WINDOW = 2**31 - 1
_MOST_STREAM = 2**31 - 1
_MOST_AT_ONCE = 1_000
"""Streams, where the server names no bound, or a larger one."""


class Lost(ConnectionError):
    """The connection ended, or will not answer this question."""


class Answer(NamedTuple):
    """Names of `headers` are in lower case. `body`: its first 64 KiB."""

    status: int
    headers: dict[str, str]
    body: bytes


class Question:
    """A request on its way. `done` is called once: with the answer, or with the reason why none will come.

    `went`: whether the head of the request went out.
    """

    __slots__ = ("_body", "_head", "answer", "content", "done", "ended", "room", "stream", "went")

    def __init__(
        self, fields: Iterable[Field], content: bytes, done: Callable[[Answer | Exception], object]
    ) -> None:
        self._head = block(fields)
        self.content = content
        self.done = done
        self.went = False
        self.stream = self.room = 0
        self.answer: Answer | None = None
        self.ended = False
        self._body = bytearray()

    @property
    def head(self) -> bytes:
        return self._head

    def keep(self, data: bytes) -> None:
        """Keep the beginning of the body."""
        self._body += data[: MOST_BODY - len(self._body)]

    def whole(self) -> Answer:
        """The answer with its body. Raises Malformed without a head."""
        if self.answer is None:
            raise Malformed("an answer without a status")
        return self.answer._replace(body=bytes(self._body))


class Streams:
    """One connection's. Not to be used any more once `error` is set."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._out: list[bytes] = []
        self._open: dict[int, Question] = {}
        self._waiting: deque[Question] = deque()
        self._blocked: dict[int, Question] = {}
        self._next = 1
        self._most = 1
        """Streams at once: one, until the server's settings say more. They come before any answer."""
        self._is_settled = False
        self._first_room = self._room = _WINDOW
        self._taken = 0
        self._block: bytearray | None = None
        self._block_of = self._block_flags = 0
        self.ending = False
        """Whether no new question is taken."""
        self.error: Exception | None = None

    @property
    def is_idle(self) -> bool:
        return not self._open and not self._waiting

    def begin(self) -> None:
        """The preface and the settings."""
        self._out.append(frames.PREFACE)
        own = {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: _OWN_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: MOST_HEAD,
        }
        self._out.append(frames.settings(own))
        self._out.append(frames.with_number(Kind.WINDOW_UPDATE, 0, _OWN_WHOLE_WINDOW - _WINDOW))

    def take(self) -> bytes:
        """The bytes to send now."""
        out, self._out = self._out, []
        return b"".join(out)

    def ask(self, question: Question) -> None:
        """Send `question` on a stream of its own, now or when one is free. Raises Lost."""
        if self.ending or self.error is not None:
            raise Lost("the connection takes no question any more")
        self._waiting.append(question)
        self._send_waiting()

    def forget(self, question: Question) -> None:
        """Nobody waits for the answer any more. The connection winds up: it may hang with the question."""
        self._open.pop(question.stream, None)
        self._blocked.pop(question.stream, None)
        if question in self._waiting:
            self._waiting.remove(question)
        self.wind_up()

    def receive(self, data: bytes) -> None:
        """Take bytes of the connection. Sets `error` when they end the connection."""
        try:
            for each in self._frames.feed(data):
                self._receive(each)
            # Not before: of settings that come together, the last say how many streams there may be.
            self._send_blocked()
            self._send_waiting()
        except Malformed as error:
            self._out.append(frames.goodbye(frames.PROTOCOL_ERROR))
            self.end(Lost(str(error)))

    def wind_up(self) -> None:
        """Take no new question. A question without a stream is lost; the others are answered still."""
        self.ending = True
        waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            question.done(Lost("the connection ends"))

    def end(self, error: Exception) -> None:
        """The connection is lost, and every question with it."""
        if self.error is None:
            self.error, self.ending = error, True
            lost = [*self._open.values(), *self._waiting]
            self._open.clear()
            self._blocked.clear()
            self._waiting.clear()
            for question in lost:
                question.done(error)

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────

    def _send_waiting(self) -> None:
        while self._waiting and len(self._open) < self._most:
            if self._next > _MOST_STREAM:
                self.wind_up()
                return
            question = self._waiting.popleft()
            question.stream, question.room = self._next, self._first_room
            self._next += 2
            self._open[question.stream] = question
            self._out.append(frames.head(question.stream, question.head, ends=not question.content))
            question.went = True
            if question.content and not self._send_body(question):
                self._blocked[question.stream] = question

    def _send_body(self, question: Question) -> bool:
        """Whether all of the body went out, as far as the windows allow."""
        while question.content:
            size = min(len(question.content), question.room, self._room, frames.MOST_PAYLOAD)
            if size <= 0:
                return False
            part, question.content = question.content[:size], question.content[size:]
            question.room -= size
            self._room -= size
            flags = 0 if question.content else frames.END_STREAM
            self._out.append(frames.frame(Kind.DATA, flags, question.stream, payload=part))
        return True

    def _send_blocked(self) -> None:
        for stream, question in list(self._blocked.items()):
            if self._send_body(question):
                del self._blocked[stream]

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, frame: Frame) -> None:
        if self._block is not None and frame.kind != Kind.CONTINUATION:
            raise Malformed("a head that is interrupted")
        match frame.kind:
            case Kind.HEADERS:
                self._block, self._block_of = bytearray(frame.content), frame.stream
                self._block_flags = frame.flags
                self._head_ended(frame.flags)
            case Kind.CONTINUATION:
                self._continue(frame)
            case Kind.DATA:
                self._data(frame)
            case Kind.RST_STREAM:
                if frame.stream in self._open:
                    self.end(Lost("a stream was reset"))
            case Kind.SETTINGS:
                self._settle(frame)
            case Kind.PING if not frame.flags & frames.ACK:
                self._out.append(frames.frame(Kind.PING, frames.ACK, 0, payload=frame.payload))
            case Kind.GOAWAY:
                self._goaway(frame)
            case Kind.WINDOW_UPDATE:
                self._widen(frame)
            case Kind.PUSH_PROMISE:
                raise Malformed("a promise that was turned off")

    def _continue(self, frame: Frame) -> None:
        if self._block is None or frame.stream != self._block_of:
            raise Malformed("the rest of no head")
        self._block += frame.payload
        self._head_ended(frame.flags)

    def _head_ended(self, flags: int) -> None:
        assert self._block is not None
        if len(self._block) > MOST_HEAD:
            raise Malformed("a head is too large")
        if not flags & frames.END_HEADERS:
            return
        whole, self._block = bytes(self._block), None
        question = self._open.get(self._block_of)
        if question is None:
            return
        if question.answer is None:  # the fields behind a body say nothing
            named = dict(read(whole))
            status = named.pop(":status", "")
            if not _STATUS.fullmatch(status):
                raise Malformed("an answer without a status")
            if status >= "200":
                question.answer = Answer(int(status), named, b"")
        if self._block_flags & frames.END_STREAM:
            self._answered(question)

    def _data(self, frame: Frame) -> None:
        size, question = len(frame.payload), self._open.get(frame.stream)
        self._taken += size
        if self._taken >= _OWN_WHOLE_WINDOW // 2:
            self._out.append(frames.with_number(Kind.WINDOW_UPDATE, 0, self._taken))
            self._taken = 0
        if question is None:
            return
        question.keep(frame.content)
        if frame.flags & frames.END_STREAM:
            self._answered(question)
        elif size:
            self._out.append(frames.with_number(Kind.WINDOW_UPDATE, frame.stream, size))

    def _answered(self, question: Question) -> None:
        answer = question.whole()
        del self._open[question.stream]
        if self._blocked.pop(question.stream, None) is not None:  # answered before all of it was read
            self._out.append(frames.with_number(Kind.RST_STREAM, question.stream, frames.CANCEL))
        question.done(answer)

    def _settle(self, frame: Frame) -> None:
        if frame.flags & frames.ACK:
            return
        most = self._most if self._is_settled else _MOST_AT_ONCE
        self._is_settled = True
        for name, value in frame.settings:
            if name == Setting.MAX_CONCURRENT_STREAMS:
                most = min(value, _MOST_AT_ONCE)
            elif name == Setting.INITIAL_WINDOW_SIZE:
                if value > _MOST_WINDOW:
                    raise Malformed("a window is too large")
                for question in self._open.values():
                    question.room += value - self._first_room
                self._first_room = value
        self._most = most
        self._out.append(frames.frame(Kind.SETTINGS, frames.ACK, 0))

    def _widen(self, frame: Frame) -> None:
        question = self._open.get(frame.stream)
        if frame.stream == 0:
            self._room += frame.number
        elif question is not None:
            question.room += frame.number
        if self._room > _MOST_WINDOW or (question is not None and question.room > _MOST_WINDOW):
            raise Malformed("a window is too large")

    def _goaway(self, frame: Frame) -> None:
        """Streams up to the last that the server took are answered still (RFC 9113 §6.8)."""
        last = int.from_bytes(frame.payload[:4], "big") & 0x7FFF_FFFF
        lost = [question for stream, question in self._open.items() if stream > last]
        for question in lost:
            del self._open[question.stream]
            self._blocked.pop(question.stream, None)
        self.wind_up()
        for question in lost:
            question.done(Lost("the server ends the connection"))
