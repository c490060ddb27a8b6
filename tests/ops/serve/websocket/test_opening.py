"""An opening of which the application makes nothing, or not what it should."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from pns.ops.serve.websocket.handshake import Head
from pns.ops.serve.websocket.lines import Lines
from pns.ops.serve.websocket.opening import Opening
from tests.ops.serve.websocket.test_handshake import GOOD
from tests.ops.serve.websocket.test_line import StubTransport

CLIENT = "192.0.2.1", 4


class Transport(StubTransport):
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


async def returns(scope: Scope, receive: Receive, send: Send) -> None: ...


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("a fault")


async def accepts(scope: Scope, receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", "subprotocol": "pns.v1", "headers": [(b"a", b"b")]})


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": 404, "headers": [(b"a", b"b")]})
    await send({"type": "websocket.http.response.body", "body": b"nobody"})


async def open_with(application: Any, target: bytes = b"/a%20b?c=d") -> Transport:
    config = uvicorn.Config(application, log_config=None)
    config.load()
    transport, state = Transport(), ServerState()
    opening = Opening(Lines(most_bytes=100), config, state)
    opening.begin(cast(asyncio.Transport, transport), Head("GET", target, GOOD, ("127.0.0.1", 80), CLIENT))
    await asyncio.wait(state.tasks)
    return transport


@pytest.mark.parametrize("application", [returns, fails])
async def test_an_application_that_does_not_answer_is_a_failure(application: Any) -> None:
    transport = await open_with(application)
    assert transport.written[0].startswith(b"HTTP/1.1 500 ")
    assert transport.closing


async def test_an_application_that_accepts_and_parks_nothing_ends_the_line() -> None:
    transport = await open_with(accepts)
    head, goodbye = transport.written
    assert head.startswith(b"HTTP/1.1 101 ")
    assert head.endswith(b"a: b\r\nSec-WebSocket-Protocol: pns.v1\r\n\r\n")
    assert goodbye[2:4] == (1011).to_bytes(2)


async def test_a_refusal_is_the_last_answer() -> None:
    transport = await open_with(refuses)
    (said,) = transport.written
    assert said.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert said.endswith(b"a: b\r\nconnection: close\r\n\r\nnobody")
    assert transport.closing


async def test_the_scope() -> None:
    seen: list[Scope] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope))

    await open_with(look)
    (scope,) = seen
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=d")
    assert (scope["client"], scope["scheme"]) == (CLIENT, "ws")
    assert (b"upgrade", b"WebSocket") in scope["headers"]
