"""Peers that do not read (V1, V10): gone within the deadlines, bounded in memory, and nobody else waits.

Each stalled peer has a tiny receive buffer and never calls recv, so what PNS sends it stays with PNS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pns.ops.serve.server import listen
from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.gauges import metric, resident, sockets
from tests.harness.hasty import program
from tests.harness.raw import PING, TEXT, RawPeer, close_frame, frame
from tests.harness.waiting import stays

KIB = 1024
PAGE = 4
"""Notifications of the largest size that fill a page."""
ASK = frame(TEXT, json.dumps({"unseenNotificationDataRequest": {"ack": True}}).encode())
FOR_EVER = 600
MANY: dict[str, Any] = {"limits__connections_per_user": 5000, "limits__requests_per_second": 1000}


@contextlib.asynccontextmanager
async def stalled(
    server: ServerProcess, count: int, *, user: str = "big", asks: int = 0
) -> AsyncIterator[list[RawPeer]]:
    """`count` peers that never read again; each has asked `asks` times for a page."""
    async with contextlib.AsyncExitStack() as stack:
        peers = []
        for _ in range(count):
            peer = await stack.enter_async_context(RawPeer.subscribe(server.url, user, receive_buffer=4096))
            await peer.send(ASK * asks)
            peers.append(peer)
        yield peers


async def fill(backend: Backend, user: str = "big", *, pages: int = 1) -> None:
    """Store `pages` whole pages of large notifications."""
    for _ in range(pages * PAGE):
        await backend.notify(user, "x" * 65_536)


# ── V1: gone ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen("127.0.0.1", 0) as listener:
        listener.listen()
        yield listener


def test_every_connection_has_a_deadline_and_a_small_buffer_in_the_kernel(listener: socket.socket) -> None:
    """Accepted sockets inherit what `listen` sets; the kernel doubles a buffer's size for itself."""
    with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65_536
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.parametrize("asks", [0, 1], ids=["counts alone", "a page in the buffer"])
async def test_pings_end_a_stalled_peer(application: HostApplication, tmp_path: Path, asks: int) -> None:
    """Two ping times, here one second each, and it is gone.

    The fix: WebSocketProtocol.keepalive_timeout aborts, where uvicorn closes and waits for what is buffered.
    """
    slow = {"server__send_timeout_seconds": FOR_EVER} | MANY
    patient = program(ping=1, user_timeout=FOR_EVER)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=patient, **slow) as server,
        server.backend() as backend,
    ):
        await fill(backend)
        async with stalled(server, 5, asks=asks):
            await eventually(lambda: sockets(server) >= 5)
            await eventually(lambda: sockets(server) <= 1)


async def test_without_the_fix_pings_end_nobody(application: HostApplication, tmp_path: Path) -> None:
    """The control: uvicorn's own WebSocket protocol keeps peers with a page in their buffer."""
    slow = {"server__send_timeout_seconds": FOR_EVER} | MANY
    plain = program(ping=1, user_timeout=FOR_EVER, plain="websocket")
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=plain, **slow) as server,
        server.backend() as backend,
    ):
        await fill(backend)
        async with stalled(server, 5, asks=1):
            await eventually(lambda: sockets(server) >= 5)
            await stays(lambda: sockets(server) >= 5, seconds=2.5)


async def test_send_deadline_ends_a_stalled_peer(application: HostApplication, tmp_path: Path) -> None:
    """Neither pings nor the kernel are involved; the close code is counted.

    The fix: Writer.ready has a deadline, and Connection ends with an abort.
    """
    quick = {"server__send_timeout_seconds": 1} | MANY
    patient = program(ping=FOR_EVER, user_timeout=FOR_EVER)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=patient, **quick) as server,
        server.backend() as backend,
    ):
        await fill(backend)
        async with stalled(server, 5, asks=2):
            await eventually(lambda: sockets(server) >= 5)
            await eventually(lambda: sockets(server) <= 1)
        assert await metric(backend, 'pns_closes_total{code="4408"}') == 5
        assert await metric(backend, "pns_connections") == 0


async def test_count_deadline_ends_a_stalled_peer(application: HostApplication, tmp_path: Path) -> None:
    """It asked for one page, read none of it, and then its count changed."""
    quick = {"server__send_timeout_seconds": 1} | MANY
    patient = program(ping=FOR_EVER, user_timeout=FOR_EVER)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=patient, **quick) as server,
        server.backend() as backend,
    ):
        await fill(backend)
        async with stalled(server, 5, asks=1):
            await eventually(lambda: sockets(server) >= 5)
            await backend.notify("big", "one more")
            await eventually(lambda: sockets(server) <= 1)
        assert await metric(backend, 'pns_closes_total{code="4408"}') == 5


async def test_kernel_ends_a_stalled_peer(application: HostApplication, tmp_path: Path) -> None:
    """It asked for one page and nothing else ever happens: TCP_USER_TIMEOUT, here one second."""
    slow = {"server__send_timeout_seconds": FOR_EVER} | MANY
    quick = program(ping=FOR_EVER, user_timeout=1)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=quick, **slow) as server,
        server.backend() as backend,
    ):
        await fill(backend)
        async with stalled(server, 5, asks=1):
            await eventually(lambda: sockets(server) >= 5)
            await eventually(lambda: sockets(server) <= 1, within=20)


async def test_goodbye_that_is_never_read(application: HostApplication, tmp_path: Path) -> None:
    """The peer itself closes, with a little in the buffer: it gets a while to read it, here one second.

    The fix: WebSocketProtocol.on_task_complete, where uvicorn flushes for ever.
    """
    patient = program(ping=FOR_EVER, user_timeout=FOR_EVER, flush=1)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=patient, **MANY) as server,
        server.backend() as backend,
    ):
        # More than the kernel takes, and too little to stop PNS from reading the goodbye.
        await backend.notify("big", "x" * 65_536, "x" * 65_536)
        async with stalled(server, 5, asks=1) as peers:
            await eventually(lambda: sockets(server) >= 5)
            for peer in peers:
                await peer.send(close_frame(1000))
            await eventually(lambda: sockets(server) <= 1)


# ── bounded, and nobody else waits ────────────────────────────────────────────────────────────────────


class Wait(NamedTuple):
    """From the call of notify to the count on a device."""

    seconds: float
    pages: int
    """That others got meanwhile, which is the same on a busy machine."""


async def waits(
    device: Device, backend: Backend, *, user: str, notifies: int, pages: Sequence[int] = ()
) -> list[Wait]:
    """How long each of `notifies` took, while `pages` grows by the pages that others get."""
    loop = asyncio.get_running_loop()
    found = []
    for number in range(notifies):
        started, before = loop.time(), len(pages)
        call = asyncio.create_task(backend.notify(user, f"{number}"))
        await device.count_is(number + 1)
        found.append(Wait(loop.time() - started, len(pages) - before))
        await call
    return found


async def test_memory_of_200_stalled_peers(application: HostApplication, tmp_path: Path) -> None:
    """At most one page and 128 KiB each, however often they ask. Nobody else waits for one of them.

    The fix: Writer.ready waits before a page is built, and the kernel's buffer is small.
    """
    slow = {"server__send_timeout_seconds": FOR_EVER} | MANY
    async with (
        ServerProcess(tmp_path, auth_url=application.url, **slow) as server,
        server.backend() as backend,
        Device.connect(server.url, "other") as other,
    ):
        await other.count()
        await fill(backend)
        async with stalled(server, 20, asks=5):
            before = resident(server)
            async with stalled(server, 200, asks=5):
                await eventually(lambda: sockets(server) >= 220)
                await waits(other, backend, user="other", notifies=10)
                grown = (resident(server) - before) / 200
        assert grown < (256 + 128) * KIB
        # The measurement must have seen the pages at all.
        assert grown > 64 * KIB


async def page_for_ever(peer: RawPeer, pages: list[int]) -> None:
    while True:
        await peer.send(ASK)
        while (await peer.frame())[1].startswith(b'{"newNotificationCountChanged'):
            pass
        pages.append(1)


async def hold_up(server: ServerProcess, backend: Backend, *, devices: int, notifies: int) -> list[Wait]:
    """The waits for a user's counts while `devices` of another page through large notifications."""
    await fill(backend)
    pages: list[int] = []
    async with contextlib.AsyncExitStack() as stack:
        other = await stack.enter_async_context(Device.connect(server.url, "other"))
        await other.count()
        peers = [
            await stack.enter_async_context(RawPeer.subscribe(server.url, "big")) for _ in range(devices)
        ]
        async with asyncio.TaskGroup() as group:
            pagers = [group.create_task(page_for_ever(peer, pages)) for peer in peers]
            await eventually(lambda: len(pages) >= 2 * devices, within=60)
            took = await waits(other, backend, user="other", notifies=notifies, pages=pages)
            for pager in pagers:
                pager.cancel()
    return took


async def test_300_devices_paging_hold_up_no_count(application: HostApplication, tmp_path: Path) -> None:
    """The fix: Shared.page_turns lets few pages be built at a time (with all at once each count took about
    a second), on another connection to the database than counts (with one for both: 10 s and more).
    """
    async with (
        ServerProcess(tmp_path, auth_url=application.url, **MANY) as server,
        server.backend() as backend,
    ):
        took = await hold_up(server, backend, devices=300, notifies=10)
    assert statistics.median(wait.pages for wait in took) < 30


@pytest.mark.soak
async def test_300_devices_paging_hold_up_no_count_for_long(
    application: HostApplication, tmp_path: Path
) -> None:
    async with (
        ServerProcess(tmp_path, auth_url=application.url, **MANY) as server,
        server.backend() as backend,
    ):
        took = await hold_up(server, backend, devices=300, notifies=200)
    assert statistics.quantiles([wait.seconds for wait in took], n=100)[98] < 3


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_2000_stalled_beside_200_healthy(application: HostApplication, tmp_path: Path) -> None:
    """The healthy ones' latency stays, measured with and without the stalled in one run."""
    slow = {"server__send_timeout_seconds": FOR_EVER} | MANY
    patient = program(ping=FOR_EVER, user_timeout=FOR_EVER)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=patient, **slow) as server,
        server.backend() as backend,
        contextlib.AsyncExitStack() as stack,
    ):
        await fill(backend)
        healthy = [
            await stack.enter_async_context(Device.connect(server.url, f"healthy{i}")) for i in range(200)
        ]
        for device in healthy:
            await device.count()

        async def measure(reached: int) -> float:
            took = []
            for number, device in enumerate(healthy):
                started = asyncio.get_running_loop().time()
                await backend.notify(f"healthy{number}", "x")
                await device.count_is(reached)
                took.append(asyncio.get_running_loop().time() - started)
            return statistics.median(took)

        await measure(1)
        alone, before = await measure(2), resident(server)
        async with stalled(server, 2000, asks=2):
            beside = await measure(3)
            grown = (resident(server) - before) / 2000
        assert grown < (256 + 128) * KIB
        assert beside < 2 * alone


# ── V10: pings of a peer that reads no pongs ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [b"", frame(TEXT, b"x")], ids=["pings alone", "a message before them"])
async def test_ping_flood(server: ServerProcess, first: bytes) -> None:
    """Whoever does not read is not read from, so the flood stops at the kernel's buffers.

    The fix: WebSocketProtocol.pause_writing pauses reading, and `receive` does not resume it.
    """
    pings = frame(PING, b"x" * 125) * 8000
    async with RawPeer.subscribe(server.url, receive_buffer=4096) as peer:
        before = resident(server)
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await peer.send(first + pings)
                while sent < 64:
                    await peer.send(pings)
                    sent += 1
        assert sent < 64
        assert resident(server) - before < 10 * KIB * KIB
