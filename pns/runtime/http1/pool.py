"""Lines to other servers, kept alive between exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pns.runtime.http1.line import Line
from pns.runtime.http1.place import Place, Server
from pns.runtime.http1.reader import Answer, ByHead
from pns.runtime.http1.trouble import Broken


class Pool:
    """Connections to any servers. You must call `close` at the end.

    A request goes out on a kept connection, if one is open, else on a new one. A kept connection that the
    server ended meanwhile is passed over before anything is sent. A request is written once: after that, an
    error is the caller's to judge.
    """

    def __init__(self, dial: Callable[[Server], Awaitable[Line]], *, idle: int, keep_seconds: float) -> None:
        """`dial` makes a connection. At most `idle` connections stay open without work, each for
        `keep_seconds` at most. How many are at work is the caller's to bound.
        """
        self._most_idle = idle
        self._keep_seconds = keep_seconds
        self._dial = dial
        self._idle: dict[Server, list[Line]] = {}
        self._number = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._busy: set[Line] = set()
        self._closed = False

    async def exchange(
        self, place: Place, request: bytes, *, most: int, by_head: ByHead | None = None
    ) -> Answer:
        """The final answer to `request`, with at most `most` bytes of its body.

        `by_head`: the answers whose body may be cut. Raises Unreachable if nothing was sent, and Broken. The
        caller sets the deadline, by a cancellation.
        """
        server = place.server
        line = self._take(server) or await self._dial(server)
        if self._closed:
            line.drop()
            raise Broken("the connections were closed")
        self._busy.add(line)
        try:
            return await line.exchange(request, most=most, by_head=by_head)
        finally:
            self._busy.discard(line)
            self._keep(server, line)

    def close(self) -> None:
        """Drop all connections; an exchange under way ends with Broken. Safe to call twice."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for line in [*self._busy, *(line for lines in self._idle.values() for line in lines)]:
            line.drop()
        self._idle.clear()
        self._number = 0

    # ── kept connections ──────────────────────────────────────────────────────────────────────────────

    def _take(self, server: Server) -> Line | None:
        """The connection that was used last: the fewest stay in use, and the others end by themselves."""
        lines = self._idle.get(server, [])
        while lines:
            line = lines.pop()
            self._number -= 1
            if not lines:
                del self._idle[server]
            if line.is_open and not self._is_old(line) and line.is_silent():
                return line
            line.drop()
        return None

    def _keep(self, server: Server, line: Line) -> None:
        if self._closed or not line.is_open or self._number >= self._most_idle:
            line.drop()
            return
        self._idle.setdefault(server, []).append(line)
        self._number += 1
        if self._sweep is None:
            self._sweep_in(self._keep_seconds)

    def _sweep_in(self, seconds: float) -> None:
        self._sweep = asyncio.get_running_loop().call_later(seconds, self._drop_old)

    def _drop_old(self) -> None:
        """One timer for all connections. The oldest of a server's come first."""
        for server, lines in list(self._idle.items()):
            old = [line for line in lines if self._is_old(line) or not line.is_open]
            for line in old:
                line.drop()
            self._number -= len(old)
            self._idle[server] = [line for line in lines if line not in old]
            if not self._idle[server]:
                del self._idle[server]
        self._sweep = None
        if self._idle:
            first = min(lines[0].idle_since for lines in self._idle.values())
            self._sweep_in(max(0.0, first + self._keep_seconds - asyncio.get_running_loop().time()))

    def _is_old(self, line: Line) -> bool:
        return asyncio.get_running_loop().time() - line.idle_since >= self._keep_seconds
