"""The order of events that a real connection meets too seldom to test there."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from pns.ops.serve.websocket_protocol import WebSocketProtocol


class StubTransport:
    """Remembers whether it reads."""

    def __init__(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def application(scope: Any, receive: Any, send: Any) -> None: ...


def protocol(transport: Any) -> WebSocketProtocol:
    config = uvicorn.Config(application, log_config=None)
    config.load()
    made = WebSocketProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    made.transport = transport
    return made


async def test_a_message_taken_does_not_resume_reading_from_a_peer_that_does_not_read() -> None:
    """The fix: WebSocketProtocol.receive; a flood of pings would follow the message."""
    transport = StubTransport()
    made = protocol(transport)
    made.frames = [b"x"]
    made.curr_msg_data_type = "text"
    made.send_receive_event_to_app()
    made.pause_writing()
    assert (await made.receive())["text"] == "x"
    assert not transport.reading
    made.resume_writing()
    assert transport.reading


async def test_a_message_that_waits_keeps_reading_paused_whatever_the_buffer_does() -> None:
    transport = StubTransport()
    made = protocol(transport)
    made.frames = [b"x"]
    made.curr_msg_data_type = "text"
    made.send_receive_event_to_app()
    made.pause_writing()
    made.resume_writing()
    assert not transport.reading
    await made.receive()
    assert transport.reading
