"""The line to one host of APNs: requests over one HTTP/2 connection at a time, replaced when it is lost.

APNs ends connections by GOAWAY. A request that APNs has taken by then is answered still. Every other request
of an ended or lost connection is sent again on a new connection, with the same headers: so the same apns-id.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from pns.adapters.gateways.apns.connection import (
    LOSSES,
    Answer,
    Connection,
    NoAnswer,
    NoConnection,
    NoTLS,
    Question,
    connect,
    named,
)
from pns.runtime.clock import Clock
from pns.runtime.http1.place import Place
from pns.runtime.proxy import Proxy

MOST_RETRIES = 5
IDLE_SECONDS = 180.0
"""Apple wants connections kept. But NATs forget an idle connection after minutes, and lose its packets."""


class HostLine:
    """POST to one host. The caller sets the deadline, by cancelling."""

    def __init__(
        self, url: str, context: ssl.SSLContext, *, streams: int, clock: Clock, proxy: Proxy | None = None
    ) -> None:
        """At most `streams` requests are under way; the others wait. The first request connects."""
        self._place = Place.parse(url.rstrip("/"))
        self._proxy = proxy
        self._context = context
        self._clock = clock
        self._streams = asyncio.Semaphore(streams)
        self._connecting = asyncio.Lock()
        self._newest: Connection | None = None
        self._closed = False

    async def post(self, path: str, headers: Mapping[str, str], content: bytes) -> Answer:
        """The answer, of any status.

        Raises NoConnection if the request never went out. Raises NoAnswer if the request went out, and the
        connection was lost more than MOST_RETRIES times. A connection that was lost while the request waited
        for a stream counts only if the connection gave no answer at all.
        """
        target = self._place.target.removesuffix(b"/") + path.encode("ascii")
        question, lost, went = Question(self._place._replace(target=target), headers, content), 0, False
        async with self._streams:
            while not self._closed:
                connection = await self._connection()
                try:
                    return await connection.ask(question)
                except LOSSES as error:
                    if isinstance(error, ssl.SSLError) and not connection.answers:
                        # In TLS 1.3 a server that refuses our certificate says so after the handshake.
                        raise NoTLS(named(error)) from None
                    went |= question.went
                    lost += question.went or not connection.answers
                    if lost > MOST_RETRIES:
                        raise (NoAnswer if went else NoConnection)(named(error)) from None
        raise NoAnswer("PNS goes down")

    async def renew(self) -> None:
        """Send later requests over a new connection. Requests under way may end on the old connection."""
        if self._newest is not None:
            self._newest.retire()

    async def close(self) -> None:
        """End the line and all its requests, for good: a line is not opened again."""
        self._closed = True
        if self._newest is not None:
            self._newest.close()

    async def _connection(self) -> Connection:
        async with self._connecting:
            if self._newest is not None and self._newest.idle_seconds > IDLE_SECONDS:
                self._newest.retire()
            if self._newest is None or self._newest.retired:
                self._newest = await connect(self._place, self._context, self._clock, proxy=self._proxy)
            if self._closed:
                self._newest.close()  # and what is asked there fails
            return self._newest
