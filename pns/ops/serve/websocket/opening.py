"""The ASGI side of a WebSocket of `pns serve`, from the head of its request until the 101 or a refusal.

The application accepts and parks the line, or refuses. Then the opening is over, and the scope with the
headers of the request goes.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import unquote

from starlette.types import Message, Scope
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from pns.ops.serve.answers import Headers, Refusal, answer
from pns.ops.serve.websocket.handshake import Head, judge, offered, plain_answer, switching
from pns.ops.serve.websocket.line import Line
from pns.ops.serve.websocket.lines import Lines

log = logging.getLogger(__name__)


class Opening:
    """One request that asks for a WebSocket. `begin` must be called once."""

    def __init__(self, lines: Lines, config: Config, state: ServerState) -> None:
        self._lines = lines
        self._config = config
        self._state = state
        self._accept = b""
        self._start: Message | None = None

    def begin(self, transport: asyncio.Transport, head: Head) -> None:
        """Ask the application about a request whose head has come in full."""
        self._line = line = Line(self._lines, transport, self._state.connections)
        transport.set_protocol(line)
        accept = judge(head)
        if isinstance(accept, Refusal):
            line.refuse(answer(accept))
            return
        self._accept = accept
        task = asyncio.get_running_loop().create_task(self._run(self._scope(head)))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _scope(self, head: Head) -> Scope:
        path, _, query = head.target.partition(b"?")
        root = self._config.root_path
        return {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "server": head.server,
            "client": head.client,
            "root_path": root,
            "path": root + unquote(path.decode("ascii")),
            "raw_path": root.encode("ascii") + path,
            "query_string": query,
            "headers": head.headers,
            "subprotocols": offered(head.headers),
            "extensions": {"websocket.http.response": {}, "pns.line": self._line},
        }

    async def _run(self, scope: Scope) -> None:
        try:
            await self._config.loaded_app(scope, self._receive, self._send)
        except ClientDisconnected:
            pass
        except Exception:  # an edge: the error ends this connection alone
            log.exception("the opening of a WebSocket failed")
        finally:
            # The extensions hold the line, which outlives this task.
            scope["extensions"].clear()
            self._line.give_up()

    async def _receive(self) -> Message:
        return {"type": "websocket.connect"}

    async def _send(self, message: Message) -> None:
        line = self._line
        if line.is_lost:
            raise ClientDisconnected
        if message["type"] == "websocket.accept":
            line.accept(switching(self._accept, self._headers_of(message)))
        elif message["type"] == "websocket.http.response.start":
            self._start = message
        elif message["type"] == "websocket.http.response.body" and self._start is not None:
            headers = [*self._state.default_headers, *self._start["headers"]]
            line.refuse(plain_answer(self._start["status"], headers, message.get("body", b"")))
        else:
            raise RuntimeError(f"an opening takes no {message['type']}")

    def _headers_of(self, message: Message) -> Headers:
        headers = [*self._state.default_headers, *message.get("headers", ())]
        if chosen := message.get("subprotocol"):
            headers.append((b"Sec-WebSocket-Protocol", chosen.encode("ascii")))
        return headers
