"""What a connection costs the server's memory: its cookie once, not much beside it, and nothing later."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from pns.ops.serve.heap import FEWER, MANY, PAUSE_SECONDS, Connections, Heap
from pns.testing.clock import FakeClock
from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.events import EventDevice
from tests.harness.gauges import sockets
from tests.harness.raw import TEXT, RawPeer, frame

KIB = 1024
ASK = frame(TEXT, b'{"unseenNotificationDataRequest": {"ack": true}}')
CONNECTIONS = 200
COOKIE_BYTES = 32_768
BESIDE_BYTES = 40_960
"""Room for a connection and more, but not for a connection and the cookie a second time."""


async def test_a_large_cookie_is_kept_once(server: ServerProcess) -> None:
    process = psutil.Process(server.pid)
    async with AsyncExitStack() as stack:
        await connect(stack, server, range(CONNECTIONS // 4))
        before = process.memory_info().rss
        await connect(stack, server, range(CONNECTIONS // 4, CONNECTIONS + CONNECTIONS // 4))
        each = (process.memory_info().rss - before) / CONNECTIONS
    assert each < COOKIE_BYTES + BESIDE_BYTES


async def connect(stack: AsyncExitStack, server: ServerProcess, numbers: range) -> None:
    """A device for each number, one after the other, each told its count."""
    for number in numbers:
        cookie = f"user=user-{number}; session={str(number) * COOKIE_BYTES}"[:COOKIE_BYTES]
        device = await stack.enter_async_context(Device.connect(server.url, headers={"Cookie": cookie}))
        async with asyncio.timeout(30):
            assert await device.count() == 0


TELLING = """
import collections, gc, signal, sys

def tell(*_):
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)  # from the second time on
    left = collections.Counter(type(thing).__qualname__ for thing in gc.garbage)
    print("left behind:", sum(left.values()), left.most_common(9), flush=True)
    gc.garbage.clear()

gc.disable()
signal.signal(signal.SIGUSR1, tell)
sys.argv = ["pns", "serve"]
from pns.ops.cli import main
main()
"""
"""A server that collects no garbage, but says at a signal how much of it there is."""


@pytest.mark.parametrize("kind", ["websocket", "unread", "events", "http"])
async def test_nothing_of_a_connection_waits_for_the_garbage_collection(
    application: HostApplication, tmp_path: Path, kind: str
) -> None:
    """5,000 that end at once leave 45 MB otherwise, because the collection looks at old things seldom.

    The fix: what ends lets go of what holds it: Writer.release, WebSocketProtocol.on_task_complete.
    """
    command = [sys.executable, "-c", TELLING]
    async with ServerProcess(tmp_path, auth_url=application.url, command=command) as server:
        await come_and_go(server, kind, "first")
        await left_behind(server, times=1)
        for number in range(40):
            await come_and_go(server, kind, f"user-{number}")
        # One thing of each connection would be forty.
        assert int((await left_behind(server, times=2)).split()[0]) < 40, server.output


async def left_behind(server: ServerProcess, *, times: int) -> str:
    """What the server says when it is asked the `times`th time, with no connection open."""
    await eventually(lambda: sockets(server) == 0)
    server.send(signal.SIGUSR1)
    said = await eventually(lambda: re.findall(r"left behind: (.*)", server.output)[times - 1 :])
    return str(said[0])


async def come_and_go(server: ServerProcess, kind: str, user: str) -> None:
    if kind == "events":
        async with EventDevice.connect(server.url, user) as stream:
            assert await stream.count() == 0
    elif kind == "unread":
        async with RawPeer.subscribe(server.url, user):
            pass
    elif kind == "http":
        async with RawPeer.connect(server.url) as peer:
            await peer.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await peer.head()
    else:
        async with Device.connect(server.url, user) as device:
            assert await device.count() == 0


def open_are(connections: Connections, number: int) -> None:
    """Let so many connections be open, opened and closed one by one."""
    while len(connections) < number:
        connections.add(object())
    while len(connections) > number:
        connections.pop()


async def test_free_memory_is_given_back_when_many_have_gone() -> None:
    clock, trimmed, connections = FakeClock(), list[int](), Connections()
    heap = Heap(connections, clock, trim=trimmed.append)
    looks = [
        (FEWER * 4, 0),
        (FEWER * 3 + 1, 0),
        (FEWER * 3 + 1, 0),
        (FEWER * 3, 1),
        (FEWER * 2, 1),
        (FEWER * 2, 1),  # within the minute
    ]
    for number, expected in looks:
        open_are(connections, number)
        await heap.look()
        assert len(trimmed) == expected
    clock.advance(PAUSE_SECONDS)
    for _ in range(3):
        await heap.look()
    assert len(trimmed) == 2
    await Heap(connections, clock, trim=None).look()


async def test_free_memory_is_given_back_when_no_more_go() -> None:
    """At the first look one of a thousand may have gone, and the next giving back is a minute later."""
    trimmed, connections = list[int](), Connections()
    heap = Heap(connections, FakeClock(), trim=trimmed.append)
    for number in (*range(FEWER * 5, FEWER, -MANY), FEWER):
        open_are(connections, number)
        await heap.look()
        assert trimmed == []
    open_are(connections, FEWER - MANY + 1)
    await heap.look()
    assert trimmed == [0]


async def test_free_memory_is_given_back_of_those_that_came_and_went_between_two_looks() -> None:
    trimmed, connections = list[int](), Connections()
    heap = Heap(connections, FakeClock(), trim=trimmed.append)
    for number in (FEWER - 1, 0, FEWER, 0):
        assert trimmed == []
        open_are(connections, number)
        if not number:
            await heap.look()
    assert trimmed == [0]


async def test_what_peers_that_read_nothing_held_is_given_back(
    application: HostApplication, tmp_path: Path
) -> None:
    """The C library kept it: 515 of 620 MB after 2,000 peers."""
    many: dict[str, Any] = {"limits__connections_per_user": 5000, "limits__requests_per_second": 1000}
    async with (
        ServerProcess(tmp_path, auth_url=application.url, **many) as server,
        server.backend() as backend,
    ):
        process = psutil.Process(server.pid)
        for _ in range(4):
            await backend.notify("big", "x" * 65_536)
        before = process.memory_info().rss
        async with AsyncExitStack() as stack:
            for _ in range(FEWER * 5 // 2):
                peer = await stack.enter_async_context(
                    RawPeer.subscribe(server.url, "big", receive_buffer=4096)
                )
                await peer.send(ASK)
            await eventually(lambda: process.memory_info().rss - before > FEWER * 256 * KIB)
            most = process.memory_info().rss - before
        # The first time, some of them may have been there still.
        given_back_within = PAUSE_SECONDS + 60
        await eventually(lambda: process.memory_info().rss - before < most / 3, within=given_back_within)
