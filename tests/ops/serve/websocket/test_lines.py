"""What lines share: a frame made once, and one sweep for all pings."""

from __future__ import annotations

import asyncio

from pns.ops.serve.websocket.frames import TEXT, frame
from pns.ops.serve.websocket.lines import CHUNK, Lines


class StubLine:
    def __init__(self, ping_at: float) -> None:
        self.ping_at = ping_at
        self.payloads: list[bytes] = []

    def ping(self, now: float, *, payload: bytes) -> None:
        self.ping_at = now + 1000
        self.payloads.append(payload)


def test_the_last_frame_is_kept() -> None:
    lines = Lines(most_bytes=10)
    text = '{"newNotificationCountChanged":' + "7}"
    assert lines.frame(text) == frame(TEXT, text.encode())
    assert (lines.last_text, lines.last_frame) == (text, frame(TEXT, text.encode()))
    assert lines.frame("é" * 100) == frame(TEXT, "é".encode() * 100)
    assert lines.last_text == "é" * 100


def test_a_page_is_not_kept() -> None:
    lines = Lines(most_bytes=10)
    lines.frame("short")
    lines.frame("x" * 1000)
    assert lines.last_text == "short"


async def test_whose_time_has_come_is_pinged_each_with_a_payload_of_its_own() -> None:
    now = asyncio.get_running_loop().time()
    due, later = [StubLine(now - 1) for _ in range(CHUNK + 2)], StubLine(now + 1000)
    lines = Lines(most_bytes=10)
    await lines.look([*due, later])
    await lines.look([*due, later])
    assert all(len(line.payloads) == 1 for line in due)
    assert later.payloads == []
    assert len({line.payloads[0] for line in due}) > CHUNK / 2
