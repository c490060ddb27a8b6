"""The table of states of a line, in orders of events that a real connection meets too seldom to test."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from uvicorn.protocols.utils import ClientDisconnected

from pns.ops.serve.websocket.frames import CLOSE, PING, PONG, TEXT, close_frame, frame
from pns.ops.serve.websocket.line import MAX_EARLY_BYTES, Line
from pns.ops.serve.websocket.lines import Lines
from tests.harness import eventually
from tests.harness.raw import close_frame as peers_close
from tests.harness.raw import frame as peers_frame

HEAD = b"HTTP/1.1 101\r\n\r\n"


class StubTransport:
    """Remembers what was written, and whether it reads."""

    def __init__(self) -> None:
        self.reading, self.closing, self.aborted = True, False, False
        self.written: list[bytes] = []
        self.buffered = 0

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True


class StubHearer:
    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.losses = 0

    def hear(self, message: str | bytes) -> None:
        self.heard.append(message)

    def lost(self) -> None:
        self.losses += 1


class Setting:
    """A line and both of its ends."""

    def __init__(self, *, flush_seconds: float = 20.0) -> None:
        self.transport, self.hearer = StubTransport(), StubHearer()
        self.connections: set[Any] = set()
        lines = Lines(most_bytes=100, ping_seconds=20.0, flush_seconds=flush_seconds)
        self.line = Line(lines, cast(asyncio.Transport, self.transport), self.connections)

    def says(self, *texts: bytes) -> None:
        self.line.data_received(b"".join(peers_frame(TEXT, text) for text in texts))

    def open(self) -> None:
        self.line.accept(HEAD)
        self.line.park(self.hearer)


@pytest.fixture
async def setting() -> Setting:
    return Setting()


@pytest.fixture
async def opened(setting: Setting) -> Setting:
    setting.open()
    return setting


async def test_one_message_at_a_time(opened: Setting) -> None:
    opened.says(b"1", b"2", b"3")
    assert (opened.hearer.heard, opened.transport.reading) == (["1"], False)
    opened.line.go_on()
    assert (opened.hearer.heard, opened.transport.reading) == (["1", "2"], False)
    opened.line.go_on()
    assert (opened.hearer.heard, opened.transport.reading) == (["1", "2", "3"], True)
    opened.line.go_on()
    opened.says(b"4")
    assert opened.hearer.heard == ["1", "2", "3", "4"]


async def test_control_frames_are_taken_while_the_hearer_is_busy(opened: Setting) -> None:
    opened.says(b"1")
    opened.line.data_received(peers_frame(PING, b"p"))
    assert opened.transport.written[1:] == [frame(PONG, b"p")]
    opened.line.data_received(peers_close(1000))
    assert (opened.hearer.losses, opened.transport.closing) == (1, True)


async def test_a_message_before_the_line_is_parked_waits(setting: Setting) -> None:
    setting.says(b"early")
    setting.line.accept(HEAD)
    assert (setting.transport.written, setting.transport.reading) == ([HEAD], False)
    setting.line.park(setting.hearer)
    assert (setting.hearer.heard, setting.transport.reading) == (["early"], True)


async def test_a_peer_that_left_before_the_line_is_parked_is_lost(setting: Setting) -> None:
    setting.line.data_received(peers_close(1000))
    setting.line.accept(HEAD)
    assert setting.transport.written == [HEAD, frame(CLOSE, b"\x03\xe8")]
    setting.line.park(setting.hearer)
    assert setting.hearer.losses == 1


async def test_a_peer_that_sends_much_before_the_101_is_dropped(setting: Setting) -> None:
    setting.line.data_received(b"x" * MAX_EARLY_BYTES)
    assert not setting.transport.aborted
    setting.line.data_received(b"x")
    assert setting.transport.aborted


async def test_a_line_that_nobody_hears_ends(setting: Setting) -> None:
    setting.line.accept(HEAD)
    setting.line.give_up()
    assert setting.transport.written[1][2:4] == (1011).to_bytes(2)
    assert setting.transport.closing


async def test_giving_up_a_parked_line_changes_nothing(opened: Setting) -> None:
    opened.line.give_up()
    assert not opened.transport.closing


async def test_a_peer_that_does_not_read_is_not_read_from(opened: Setting) -> None:
    opened.says(b"1", b"2")
    opened.line.pause_writing()
    opened.line.go_on()
    assert not opened.transport.is_reading()
    waiting = opened.line.blocked()
    assert waiting is not None
    opened.line.resume_writing()
    await asyncio.ensure_future(waiting)
    assert opened.transport.is_reading()
    assert opened.line.blocked() is None


async def test_who_waits_for_a_peer_that_is_lost_waits_no_longer(opened: Setting) -> None:
    opened.line.pause_writing()
    waiting = opened.line.blocked()
    assert waiting is not None
    opened.line.connection_lost(OSError())
    await asyncio.ensure_future(waiting)
    assert (opened.hearer.losses, opened.connections) == (1, set())
    with pytest.raises(ClientDisconnected):
        opened.line.send_text("late")


async def test_a_ping_that_is_not_answered_ends_the_line(opened: Setting) -> None:
    now = opened.line.ping_at
    opened.line.ping(now, payload=b"1234")
    assert opened.transport.written[-1] == frame(PING, b"1234")
    opened.line.data_received(peers_frame(PONG, b"another"))
    opened.line.ping(opened.line.ping_at, payload=b"5678")
    assert opened.transport.written[-1] == close_frame(1011, "keepalive ping timeout")
    assert (opened.hearer.losses, opened.transport.aborted) == (1, False)


async def test_a_ping_that_is_answered_is_followed_by_the_next(opened: Setting) -> None:
    for number in range(3):
        payload = number.to_bytes(4)
        before = opened.line.ping_at
        opened.line.ping(before, payload=payload)
        assert opened.line.ping_at == before + 20
        opened.line.data_received(peers_frame(PONG, payload))
    assert opened.hearer.losses == 0


async def test_a_silent_peer_with_bytes_in_its_buffer_is_dropped(opened: Setting) -> None:
    opened.line.ping(0.0, payload=b"1234")
    opened.transport.buffered = 1
    opened.line.ping(20.0, payload=b"5678")
    assert opened.transport.aborted


async def test_after_a_close_of_the_server_messages_are_dropped(opened: Setting) -> None:
    opened.says(b"1", b"2")
    await opened.line.send_close(1012, "restart")
    assert opened.transport.written[-1] == close_frame(1012, "restart")
    assert opened.transport.reading
    opened.says(b"3")
    opened.line.data_received(peers_frame(PING, b"p"))
    assert opened.transport.written[-1] == close_frame(1012, "restart")
    assert not opened.transport.is_closing()
    opened.line.data_received(peers_close(1012))
    assert opened.transport.closing
    assert (opened.hearer.heard, opened.hearer.losses) == (["1"], 0), "who closes is not told"


async def test_a_second_close_sends_nothing(opened: Setting) -> None:
    await opened.line.send_close(1012, "restart")
    before = list(opened.transport.written)
    await opened.line.send_close(4501, "logged out")
    assert opened.transport.written == before


async def test_a_peer_that_answers_no_close_is_dropped() -> None:
    setting = Setting(flush_seconds=0.0)
    setting.open()
    await setting.line.send_close(1012, "restart")
    await eventually(lambda: setting.transport.aborted)


@pytest.mark.parametrize("opened_before", [True, False])
async def test_the_servers_end(setting: Setting, opened_before: bool) -> None:
    if opened_before:
        setting.open()
    setting.line.shutdown()
    said = setting.transport.written[-1]
    assert said == close_frame(1012, "") if opened_before else said.startswith(b"HTTP/1.1 503 ")
    assert setting.transport.closing
    setting.line.shutdown()
    assert setting.transport.written[-1] is said
