"""One answer, read from a connection's bytes within bounds.

httptools (llhttp) parses. This module decides what is an answer, and when the answer is complete.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pns.runtime.http1.trouble import Broken

MOST_HEAD = 65_536
"""Bytes of an answer's head, its interim answers included."""
MOST_FRAMING = 16
"""Bytes of a connection for each byte of a body. A chunk of one byte has six."""


class Answer(NamedTuple):
    """A final answer. Names of `headers` are in lower case.

    `cut`: the body was longer than asked for, or the rest of the body did not come.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    cut: bool

    def header(self, name: str) -> str:
        """The value of this header, "" without one. `name`: in lower case. Repeated values are joined by
        commas (RFC 9110 §5.3).
        """
        key = name.encode()
        return b", ".join(value for found, value in self.headers if found == key).decode("latin-1")


class ByHead(NamedTuple):
    """Answers that are decided by their head: of any status but those in `but`, whose body must be whole.

    The body of such an answer is read for a moment, so that a log can quote the body and the connection can
    be kept. The moment ends before `deadline`, the caller's own, in the event loop's time.
    """

    but: Collection[int] = ()
    deadline: float = float("inf")


class Reader:
    """Reads one answer after the other. Call `begin` before each, then `feed` until an answer is returned."""

    __slots__ = (
        "_asked_tunnel",
        "_body",
        "_by_head",
        "_complete",
        "_headers",
        "_left",
        "_most",
        "_parser",
        "_room",
        "_status",
        "is_tunnel",
        "reusable",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.is_tunnel = False
        """Whether the connection is a tunnel now (RFC 9110 §9.3.6)."""
        self.reusable = False
        """Whether the connection takes another request after the answer."""

    def begin(self, most: int, *, tunnel: bool = False, by_head: ByHead | None = None) -> None:
        """Read an answer, and at most `most` bytes of its body.

        `tunnel`: the request was a CONNECT. `by_head`: the answers whose body need not be whole.
        """
        self._most = most
        self._by_head = by_head
        self._room = MOST_HEAD
        self._left = MOST_HEAD + MOST_FRAMING * most
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._status = 0
        self._complete = False
        self._asked_tunnel = tunnel
        self.is_tunnel = False
        self.reusable = False

    @property
    def is_decided(self) -> bool:
        """Whether the head is complete, and says all."""
        return self._by_head is not None and self._status >= 200 and self._status not in self._by_head.but

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes of the connection. Returns the answer once the answer is complete, or cut.

        Raises Broken for bytes that are no HTTP/1.1 answer, or more of them than any answer needs. Behind a
        head that says all, such bytes only cut the answer.
        """
        try:
            self._take(data)
        except Broken:
            if not self.is_decided:
                raise
            return self._answer()
        return self._answer() if self._complete or len(self._body) > self._most else None

    def end(self) -> Answer | None:
        """The answer, where the end of the connection is the end of the body (RFC 9112 §6.3)."""
        framed = any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
        if self._status < 200 or framed:
            return self.so_far()
        self._complete = True
        return self._answer()

    def so_far(self) -> Answer | None:
        """The answer with the body that has come, where the head says all; else None. The connection takes
        no other request then.
        """
        return self._answer() if self.is_decided else None

    def _take(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._complete:
                raise Broken(f"its bytes are no HTTP/1.1 answer ({type(error).__name__})") from None
            self.reusable = False  # bytes that nobody asked for follow the answer
        if not self._complete and len(self._body) <= self._most:
            self._count(len(data))

    def _count(self, number: int) -> None:
        if self._status < 200:
            self._room -= number
        else:
            self._left -= number
        if self._room < 0 or self._left < 0:
            raise Broken("the answer has too many bytes around its body")

    def _answer(self) -> Answer:
        cut = not self._complete or len(self._body) > self._most
        if cut:
            self.reusable = False
        return Answer(self._status, self._headers, bytes(self._body[: self._most]), cut)

    # ── called by the parser ──────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        if self._complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete and self._status < 200:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if not self._complete:
            self._status = self._parser.get_status_code()
            self._complete = self.is_tunnel = self._asked_tunnel and self._status // 100 == 2

    def on_body(self, body: bytes) -> None:
        if not self._complete and len(self._body) <= self._most:
            self._body += body

    def on_message_complete(self) -> None:
        if self._complete:
            return
        if self._status < 200:  # an interim answer (RFC 9110 §15.2)
            self._status = 0
            self._headers = []
            return
        self._complete = True
        self.reusable = self._parser.should_keep_alive()
