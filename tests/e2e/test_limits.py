"""Limits, exact at their edge, and what keeps a silent connection alive."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.gauges import metric
from tests.harness.hasty import program
from tests.harness.raw import PING, PONG, TEXT, RawPeer, frame, upgrade_head

PER_USER = 3
IN_ALL = 8


@pytest.fixture
async def server(application: HostApplication, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess(
        tmp_path,
        auth_url=application.url,
        limits__connections_per_user=PER_USER,
        limits__connections=IN_ALL,
        limits__requests_per_second=0.5,
        server__heartbeat_seconds=0.5,
    ) as server:
        yield server


async def may_subscribe(server: ServerProcess, user: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{server.url}/subscribe", headers={"cookie": f"user={user}"})


async def join(stack: contextlib.AsyncExitStack, server: ServerProcess, user: str) -> Device:
    device = await stack.enter_async_context(Device.connect(server.url, user))
    assert await device.count() == 0
    return device


async def until_connections(backend: Backend, count: int) -> None:
    async def are_there() -> bool:
        return await metric(backend, "pns_connections") == count

    await eventually(are_there)


async def test_connections_of_a_user(server: ServerProcess, backend: Backend) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first, *_ = [await join(stack, server, "alice") for _ in range(PER_USER)]
        refused = await may_subscribe(server, "alice")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_connections")
        async with Device.connect(server.url, "alice") as extra:
            assert await extra.closed() == 4509
        assert await metric(backend, 'pns_closes_total{code="4509"}') == 1
        assert (await may_subscribe(server, "bob")).status_code == 200
        await first.socket.close()
        await until_connections(backend, PER_USER - 1)
        assert (await may_subscribe(server, "alice")).status_code == 200
        await join(stack, server, "alice")


async def test_connections_of_a_user_at_once(server: ServerProcess, backend: Backend) -> None:
    """Of more than may come, exactly as many as may stay."""

    async def arrive(peer: RawPeer) -> bool:
        await peer.send(upgrade_head("alice"))
        status, _ = await peer.head()
        if status != 101:
            assert status == 503
            return False
        opcode, payload = await peer.frame()
        assert opcode == TEXT or payload[:2] == (4509).to_bytes(2, "big")
        return opcode == TEXT

    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(RawPeer.connect(server.url)) for _ in range(IN_ALL)]
        stay = await asyncio.gather(*(arrive(peer) for peer in peers))
        assert sum(stay) == PER_USER


async def test_connections_in_all(server: ServerProcess, backend: Backend) -> None:
    """One more is refused before the 101, with a status that a load balancer understands."""
    async with contextlib.AsyncExitStack() as stack:
        devices = [await join(stack, server, f"user{i}") for i in range(IN_ALL)]
        async with RawPeer.connect(server.url) as peer:
            await peer.send(upgrade_head("one-more"))
            status, headers = await peer.head()
            assert (status, headers["content-type"]) == (503, "application/problem+json")
            assert int(headers["retry-after"]) > 0
            assert json.loads(await peer.body(int(headers["content-length"])))["code"] == "overloaded"
        assert (await may_subscribe(server, "one-more")).status_code == 503
        await devices[0].socket.close()
        await until_connections(backend, IN_ALL - 1)
        await join(stack, server, "one-more")


async def test_requests_of_a_connection(server: ServerProcess, backend: Backend) -> None:
    """One is served, nine are refused, the tenth refusal in a row is the last word."""
    async with (
        RawPeer.subscribe(server.url, "hasty") as peer,
        RawPeer.subscribe(server.url, "hasty") as other,
    ):
        await peer.text()
        await peer.send(frame(TEXT, b"unseenNotificationDataRequest") * 11)
        assert json.loads(await peer.text()) == {"newNotificationData": []}
        codes = [json.loads(await peer.text())["error"]["code"] for _ in range(9)]
        assert codes == ["rate_limited"] * 9
        assert await peer.close_code() == 4429
        assert await metric(backend, 'pns_closes_total{code="4429"}') == 1
        # Another connection of the same user has a bucket of its own.
        await other.text()
        await other.send(frame(TEXT, b"unseenNotificationDataRequest"))
        while "newNotificationData" not in await other.text():
            pass


async def test_heartbeats_carry_the_count(server: ServerProcess, backend: Backend) -> None:
    async with Device.connect(server.url, "alice") as device:
        assert [await device.count() for _ in range(3)] == [0, 0, 0]
        await backend.notify("alice", "x")
        await device.count_is(1)
        assert [await device.count() for _ in range(3)] == [1, 1, 1]


async def test_pings_and_pongs(application: HostApplication, tmp_path: Path) -> None:
    """Who answers stays for many ping times; who does not is gone after two."""
    pinging = program(ping=0.3)
    async with (
        ServerProcess(tmp_path, auth_url=application.url, program=pinging) as server,
        RawPeer.subscribe(server.url) as alive,
        RawPeer.subscribe(server.url) as dumb,
    ):
        await alive.text()
        for _ in range(5):
            opcode, payload = await alive.frame()
            assert opcode == PING
            await alive.send(frame(PONG, payload))
        assert await dumb.close_code() == 1011
