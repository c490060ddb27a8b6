"""Logged out means logged out: revocation, erasure and recheck, on open connections and on those that come.

The application's answer counts for a device only if it was asked after the newest revocation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.application import Asked, Reply, always, by_cookie

WITHIN = 2.0
LOGGED_OUT = 4501


async def closes(device: Device) -> int:
    """The close code, which must come within the promised time."""
    async with asyncio.timeout(WITHIN):
        return await device.closed()


def cookie_of(device: Device) -> str:
    response = device.socket.response
    assert response is not None
    return response.headers["Set-Cookie"].partition(";")[0]


async def device_ids(backend: Backend, user: str = "alice") -> list[str]:
    return [device["device_id"] for device in (await backend.user(user))["devices"]]


async def revoke(backend: Backend, user: str = "alice", device_id: str | None = None) -> None:
    query = {} if device_id is None else {"device_id": device_id}
    response = await backend.http.delete(f"/users/{user}/connections", params=query)
    assert response.status_code == 202, response.text


async def erase(backend: Backend, user: str = "alice") -> None:
    response = await backend.http.delete(f"/users/{user}")
    assert response.status_code == 204, response.text


async def stays_open(device: Device, backend: Backend, user: str) -> None:
    """A notification comes through, and the connection answers."""
    before = device.counts[-1]
    await backend.notify(user, "still there?")
    await device.count_is(before + 1)


Revoke = Callable[[Backend], Awaitable[None]]
BOTH = pytest.mark.parametrize("logs_out", [revoke, erase])


# ── open connections ──────────────────────────────────────────────────────────────────────────────────


@BOTH
async def test_all_of_a_users_connections_end(
    server: ServerProcess, backend: Backend, logs_out: Revoke
) -> None:
    async with (
        Device.connect(server.url, "alice") as phone,
        Device.connect(server.url, "alice") as desk,
        Device.connect(server.url, "bob") as other,
    ):
        for device in (phone, desk, other):
            await device.count()
        await logs_out(backend)
        assert [await closes(phone), await closes(desk)] == [LOGGED_OUT, LOGGED_OUT]
        await stays_open(other, backend, "bob")
        await eventually(lambda: _no_device(backend))


async def _no_device(backend: Backend) -> bool:
    return await device_ids(backend) == []


async def test_one_device_ends_with_all_its_tabs_and_no_other(
    server: ServerProcess, backend: Backend
) -> None:
    async with Device.connect(server.url, "alice") as tab:
        await tab.count()
        (lost,) = await device_ids(backend)
        same = {"Cookie": f"user=alice; {cookie_of(tab)}"}
        async with (
            Device.connect(server.url, headers=same) as second_tab,
            Device.connect(server.url, "alice") as desk,
        ):
            await second_tab.count()
            await desk.count()
            assert len(await device_ids(backend)) == 2
            await revoke(backend, device_id=lost)
            assert [await closes(tab), await closes(second_tab)] == [LOGGED_OUT, LOGGED_OUT]
            await stays_open(desk, backend, "alice")
            assert lost not in await device_ids(backend)


async def test_a_revocation_of_nobody_is_a_revocation(server: ServerProcess, backend: Backend) -> None:
    async with Device.connect(server.url, "alice") as device:
        await device.count()
        await revoke(backend, "nobody-yet")
        await revoke(backend, device_id="no-such-device")
        await erase(backend, "nobody-yet")
        await stays_open(device, backend, "alice")


# ── who asks at once ──────────────────────────────────────────────────────────────────────────────────


async def connects(server: ServerProcess, headers: dict[str, str] | None = None) -> None:
    async with Device.connect(server.url, headers=headers or {"Cookie": "user=alice"}) as device:
        await device.count()


@BOTH
async def test_a_kept_yes_is_not_used_again(
    application: HostApplication, server: ServerProcess, backend: Backend, logs_out: Revoke
) -> None:
    await connects(server)
    await connects(server)
    assert len(application.asked) == 1, "the second was let in by the kept yes"
    await logs_out(backend)
    await connects(server)
    assert len(application.asked) == 2
    await connects(server)
    assert len(application.asked) == 2, "the new yes is kept"
    await logs_out(backend)
    application.decide = lambda asked: (401, b"{}")
    with pytest.raises(InvalidStatus) as caught:
        await connects(server)
    assert caught.value.response.status_code == 401
    refused = await backend.http.post("/subscribe", headers={"cookie": "user=alice", "authorization": ""})
    assert refused.status_code == 401


class Gate:
    """An application whose answers wait. The first `held` questions are answered when `open` is set."""

    def __init__(self, after: Reply | None = None) -> None:
        self.open = asyncio.Event()
        self.after = after

    async def decide(self, asked: Asked) -> Reply:
        if not self.open.is_set():
            await self.open.wait()
            return by_cookie(asked)
        return self.after or by_cookie(asked)


@asynccontextmanager
async def asking(
    application: HostApplication, gate: Gate, way: Callable[[], Awaitable[object]]
) -> AsyncIterator[asyncio.Task[object]]:
    """`way` begun, and the application asked about it but its answer held back."""
    application.decide = gate.decide
    before = len(application.asked)
    task = asyncio.ensure_future(way())
    await eventually(lambda: len(application.asked) > before)
    try:
        yield task
    finally:
        gate.open.set()
        await asyncio.wait([task])


WAYS = ("handshake", "post")


def way_in(way: str, server: ServerProcess, backend: Backend, cookie: str) -> Callable[[], Awaitable[int]]:
    """Ask to be let in, by either way; returns the status."""

    async def by_handshake() -> int:
        try:
            await connects(server, {"Cookie": cookie})
        except InvalidStatus as refused:
            return refused.response.status_code
        return 200

    async def by_post() -> int:
        return (await backend.http.post("/subscribe", headers={"cookie": cookie})).status_code

    return by_handshake if way == "handshake" else by_post


@BOTH
async def test_a_yes_that_was_asked_for_before_is_asked_for_again(
    application: HostApplication, server: ServerProcess, backend: Backend, logs_out: Revoke
) -> None:
    for way in WAYS:
        gate, before = Gate(), len(application.asked)
        ask = way_in(way, server, backend, f"user=alice; way={way}")
        async with asking(application, gate, ask) as answer:
            await logs_out(backend)
            gate.open.set()
            assert await answer == 200
        assert len(application.asked) == before + 2
        await ask()
        assert len(application.asked) == before + 2, "the second yes is kept"


async def test_and_if_the_application_then_says_no_it_is_no(
    application: HostApplication, server: ServerProcess, backend: Backend
) -> None:
    for way in WAYS:
        gate, before = Gate(after=(401, b"{}")), len(application.asked)
        ask = way_in(way, server, backend, f"user=alice; way={way}")
        async with asking(application, gate, ask) as answer:
            await revoke(backend)
            gate.open.set()
            assert await answer == 401
        assert len(application.asked) == before + 2


async def test_a_revoked_device_is_asked_about_anew_and_another_is_not(
    application: HostApplication, server: ServerProcess, backend: Backend
) -> None:
    async with Device.connect(server.url, "alice") as device:
        await device.count()
        (lost,) = await device_ids(backend)
        cookie = cookie_of(device)
    for way in WAYS:
        for whose, questions in ((cookie, 2), ("theme=dark", 1)):
            gate, before = Gate(), len(application.asked)
            ask = way_in(way, server, backend, f"user=alice; way={way}; {whose}")
            async with asking(application, gate, ask) as answer:
                await revoke(backend, device_id=lost)
                gate.open.set()
                assert await answer == 200
            assert len(application.asked) == before + questions, (way, whose)
            await revoke(backend)


# ── recheck ───────────────────────────────────────────────────────────────────────────────────────────

RECHECK: dict[str, Any] = {
    "auth__recheck_seconds": 0.2,
    "auth__timeout_seconds": 0.5,
    "auth__cache_seconds": 3600,
}
NO: dict[str, Reply] = {
    "401": (401, b"{}"),
    "403": (403, b"no CSRF token"),
    "another user": (200, b'{"user_id": "bob"}'),
}
DOUBTS: dict[str, Reply] = {
    "500": (500, b"{}"),
    "404": (404, b"{}"),
    "a login page": (302, b"", [("location", "/login")]),
    "html": (200, b"<!doctype html>"),
    "nobody": (200, b'{"user_id": null}'),
    "empty": (200, b"{}"),
}


async def test_a_recheck_past_the_cache_ends_who_is_logged_out(tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, **RECHECK) as server,
    ):
        for reply in NO.values():
            application.decide = by_cookie
            async with Device.connect(server.url, "alice") as device:
                await device.count()
                application.decide = always(reply)
                assert await closes(device) == LOGGED_OUT


async def doubts(backend: Backend) -> float:
    text = (await backend.http.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith('pns_logins_total{outcome="asked_doubt"}')]
    return float(lines[0].split()[1]) if lines else 0.0


async def test_a_recheck_without_an_answer_changes_nothing(tmp_path: Path) -> None:
    async with (
        HostApplication() as application,
        ServerProcess(tmp_path, auth_url=application.url, **RECHECK) as server,
        server.backend() as backend,
        Device.connect(server.url, "alice") as device,
    ):
        await device.count()

        async def doubted(before: float) -> bool:
            return await doubts(backend) >= before + 2

        for reply in DOUBTS.values():
            application.decide = always(reply)
            before = await doubts(backend)
            await eventually(partial(doubted, before))
            await stays_open(device, backend, "alice")
        application.decide, application.delay = by_cookie, 2.0
        before = await doubts(backend)
        await eventually(lambda: doubted(before))
        await stays_open(device, backend, "alice")


# ── an application in trouble ─────────────────────────────────────────────────────────────────────────

TIMEOUT = 1.0
FOR_EVER = 3600.0


@asynccontextmanager
async def dripping() -> AsyncIterator[str]:
    """An application that sends a byte now and then, and never an end; yields its URL."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def keeps_waiting_nobody(server: ServerProcess, backend: Backend) -> None:
    """A new device is told 503, by either way, of an application that never says anything."""
    for way in ("handshake", "post"):
        assert await way_in(way, server, backend, "user=alice")() == 503
    answer = await backend.http.post("/subscribe", headers={"cookie": "user=alice"})
    assert answer.json()["code"] == "auth_unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def test_an_application_in_trouble_hangs_nobody_and_leaves_open_connections_alone(
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {
        "auth__timeout_seconds": TIMEOUT,
        "auth__cache_seconds": 0,
        "auth__recheck_seconds": 0.4,
    }
    async with HostApplication() as application:
        server = ServerProcess(tmp_path, auth_url=application.url, **settings)
        async with server, server.backend() as backend, Device.connect(server.url, "bob") as device:
            await device.count()
            for reply in ((200, b"<html>"), (500, b""), (200, b"{}"), (302, b"", [("location", "/")])):
                application.decide = always(reply)
                await keeps_waiting_nobody(server, backend)
                await stays_open(device, backend, "bob")
            application.delay = FOR_EVER
            await keeps_waiting_nobody(server, backend)
            await stays_open(device, backend, "bob")
            await application.__aexit__(None, None, None)
            await keeps_waiting_nobody(server, backend)
            await stays_open(device, backend, "bob")
            application.delay, application.decide = 0.0, by_cookie


async def test_an_application_that_drips_hangs_nobody(tmp_path: Path) -> None:
    async with dripping() as url:
        server = ServerProcess(tmp_path, auth_url=url, auth__timeout_seconds=TIMEOUT)
        async with server, server.backend() as backend:
            await keeps_waiting_nobody(server, backend)
