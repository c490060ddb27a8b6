"""The graceful end (V8): unready at once, what is in flight is answered, connections leave one after another
with 1012, and nobody who stalls holds it up.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.raw import FIN, TEXT, RawPeer, frame, upgrade_head
from tests.harness.server import API_KEY

BODY = b'{"user_id": "alice", "notifications": [{"notification_data": "in flight"}]}'
POST = (
    f"POST /notify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {API_KEY}\r\n"
    f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
).encode()

FOR_EVER = 3600


async def unready(server: ServerProcess) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{server.url}/readyz")).status_code == 503


async def begin_post(stack: contextlib.AsyncExitStack, server: ServerProcess) -> RawPeer:
    """A POST whose body is not complete yet."""
    peer = await stack.enter_async_context(RawPeer.connect(server.url))
    await peer.send(POST + BODY[:10])
    return peer


async def stall(stack: contextlib.AsyncExitStack, server: ServerProcess) -> RawPeer:
    """A connection that reads no more than the beginning of two pages that it asked for.

    It has come to a halt when the first page has begun: who asked and was not answered yet may be told of
    the end.
    """
    peer = await stack.enter_async_context(RawPeer.subscribe(server.url, "big", receive_buffer=4096))
    await peer.send(2 * frame(TEXT, b'{"unseenNotificationDataRequest":{"ack":true}}'))
    await peer.text()
    begin = await peer.body(2)
    assert begin == bytes([FIN | TEXT, 127]), "a page of more than 64 KiB"
    peer.buffer = begin + peer.buffer
    return peer


async def closed_at(peer: RawPeer) -> tuple[int, float]:
    """The close code and when it came. Patience is the caller's."""
    code = await peer.close_code()
    return code, asyncio.get_running_loop().time()


async def test_drain(application: HostApplication, tmp_path: Path) -> None:
    """The fix: Server.main_loop drains before uvicorn closes, and Node drops who does not go.

    uvicorn's own end would close all at once, before anybody is told.
    """
    drain, loop = 3.0, asyncio.get_running_loop()
    settings: dict[str, Any] = {
        "server__drain_seconds": drain,
        "server__send_timeout_seconds": FOR_EVER,
        "limits__connections_per_user": 1000,
    }
    async with (
        contextlib.AsyncExitStack() as stack,
        ServerProcess(tmp_path, auth_url=application.url, **settings) as server,
        server.backend() as backend,
    ):
        for _ in range(8):
            await backend.notify("big", "x" * 65_536)
        peers = [await stack.enter_async_context(RawPeer.subscribe(server.url)) for _ in range(300)]
        stalled = [await stall(stack, server) for _ in range(5)]
        posts = [await begin_post(stack, server) for _ in range(10)]
        assert server.process is not None
        watched = [asyncio.create_task(closed_at(peer)) for peer in peers]

        started = loop.time()
        server.send(signal.SIGTERM)
        await eventually(lambda: unready(server))

        for post in posts:
            await post.send(BODY[10:])
        assert [(await post.head())[0] for post in posts] == [201] * 10
        await backend.notify("late", "during the drain")
        async with httpx.AsyncClient(trust_env=False) as client:
            refused = await client.post(f"{server.url}/subscribe", headers={"cookie": "user=new"})
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert "retry-after" in refused.headers
        async with RawPeer.connect(server.url) as new:
            await new.send(upgrade_head("new"))
            assert (await new.head())[0] == 503

        ended = await asyncio.gather(*watched)
        assert {code for code, _ in ended} == {1012}
        moments = sorted(moment - started for _, moment in ended)
        assert moments[len(moments) // 2] > 0.3 * drain
        assert moments[-1] > 0.8 * drain
        assert sum(moment < 0.2 * drain for moment in moments) < 0.5 * len(moments)

        assert await asyncio.to_thread(server.process.wait, 60) == 0, "the stalled ones are not waited for"
        assert [await peer.close_code() for peer in stalled] == [1006] * 5
        assert "Traceback" not in server.output


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_either_signal(application: HostApplication, tmp_path: Path, sig: signal.Signals) -> None:
    async with (
        ServerProcess(tmp_path, auth_url=application.url, server__drain_seconds=0.2) as server,
        Device.connect(server.url, "alice") as device,
    ):
        await device.count()
        assert await server.stop(sig) == 0
        assert await device.closed() == 1012
        assert "Traceback" not in server.output


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_second_signal_ends_at_once(
    application: HostApplication, tmp_path: Path, second: signal.Signals
) -> None:
    """Neither the drain nor a stalled peer nor a request that never completes is waited for.

    The fix: Server._cut_short.
    """
    settings: dict[str, Any] = {"server__drain_seconds": FOR_EVER, "server__send_timeout_seconds": FOR_EVER}
    async with (
        contextlib.AsyncExitStack() as stack,
        ServerProcess(tmp_path, auth_url=application.url, **settings) as server,
        server.backend() as backend,
        Device.connect(server.url, "alice") as device,
    ):
        await device.count()
        for _ in range(8):
            await backend.notify("big", "x" * 65_536)
        for _ in range(5):
            await stall(stack, server)
        await begin_post(stack, server)
        server.send(signal.SIGTERM)
        await eventually(lambda: unready(server))
        assert await server.stop(second) == 0
        assert "Traceback" not in server.output


async def test_nothing_to_drain(application: HostApplication, tmp_path: Path) -> None:
    """Without connections nobody is waited for."""
    async with ServerProcess(tmp_path, auth_url=application.url, server__drain_seconds=FOR_EVER) as server:
        assert await server.stop() == 0
