"""SQL for a PostgreSQL server that trusts everybody, as `psql` runs it, without a process for each call."""

from __future__ import annotations

import select
import socket
import struct
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_PROTOCOL = 3 << 16
_SECONDS = 60.0


class SQLError(AssertionError):
    """The server refuses a statement, or the connection."""


class Line:
    """A connection to the database at `url`. Use as `with`. Every `run` finds a new session's settings."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        assert where.username is not None
        words = ("user", unquote(where.username), "database", where.path[1:])
        self._socket = socket.create_connection((where.hostname, where.port), _SECONDS)
        self._stream = self._socket.makefile("rwb")
        try:
            self._send(b"", struct.pack("!I", _PROTOCOL) + b"".join(map(_text, words)) + b"\0")
            self._answer()
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether the server has said nothing since the last answer: its last words come unasked."""
        return not select.select([self._socket], [], [], 0)[0]

    def run(self, sql: str) -> list[str]:
        """The rows that `sql` returns, columns apart by |. All statements of `sql` are one transaction."""
        try:
            rows = self._ask(sql)
        finally:
            if self._in_transaction:
                self._ask("ROLLBACK")
            self._ask("DISCARD ALL")
        return [line for row in rows for line in row.splitlines() or [""]]

    def close(self) -> None:
        self._socket.close()
        self._stream.close()

    def _ask(self, sql: str) -> list[str]:
        self._send(b"Q", _text(sql))
        return self._answer()

    def _send(self, kind: bytes, body: bytes) -> None:
        self._stream.write(kind + struct.pack("!I", len(body) + 4) + body)
        self._stream.flush()

    def _answer(self) -> list[str]:
        """The rows that come until the server is ready for more."""
        rows: list[str] = []
        error = ""
        while (head := self._stream.read(5))[:1] not in (b"Z", b""):
            body = self._stream.read(_size(head))
            if head[:1] == b"D":
                rows.append(_row(body))
            elif head[:1] == b"E":
                error = _message(body)
        self._in_transaction = self._stream.read(_size(head)) != b"I"
        if error or not head:
            raise SQLError(error or "the server has gone")
        return rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _text(word: str) -> bytes:
    return word.encode() + b"\0"


def _size(head: bytes) -> int:
    return int.from_bytes(head[1:]) - 4 if head else 0


def _message(body: bytes) -> str:
    fields = {field[:1]: field[1:].decode() for field in body.split(b"\0")}
    return f"{fields[b'S']}: {fields[b'M']}"


def _row(body: bytes) -> str:
    """The columns of a row, each a length and as many bytes. The length of NULL is -1."""
    columns, place = [], 2
    for _ in range(int.from_bytes(body[:2])):
        size = max(int.from_bytes(body[place : place + 4], signed=True), 0)
        columns.append(body[place + 4 : place + 4 + size].decode())
        place += 4 + size
    return "|".join(columns)
