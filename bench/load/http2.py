"""A bare HTTP/2 client: one connection, so many streams at once, the same request on each."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamEnded

from bench.load.endless import Endless


class Streams(Endless):
    """Asks without pause until `stop`. An answer other than 200 is an error of the whole measurement."""

    def __init__(self, headers: list[tuple[str, str]], body: bytes, *, at_once: int) -> None:
        super().__init__()
        self._h2 = H2Connection(H2Configuration())
        self._headers = headers
        self._body = body
        self._at_once = at_once

    @classmethod
    async def connect(cls, port: int, trust: ssl.SSLContext, **request: Any) -> Streams:
        """Connect and begin."""
        loop = asyncio.get_running_loop()
        _, streams = await loop.create_connection(
            lambda: cls(**request), "127.0.0.1", port, ssl=trust, server_hostname="localhost"
        )
        return streams

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._h2.initiate_connection()
        for _ in range(self._at_once):
            self._ask()
        self.transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            self._take(event)
        self.transport.write(self._h2.data_to_send())

    def _take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived) and dict(event.headers)[b":status"] != b"200":
            self.wrong = event.headers
        elif isinstance(event, StreamEnded):
            self.count += 1
            if self.going:
                self._ask()

    def _ask(self) -> None:
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, self._headers)
        self._h2.send_data(stream, self._body, end_stream=True)
