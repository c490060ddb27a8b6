"""Host applications with PNS inside, on servers as their developers run them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from pns.testing.temporary import empty_store
from tests.harness import Device, eventually
from tests.harness.events import EventDevice
from tests.harness.host import HostProcess, Server
from tests.harness.troubles import assert_told

pytestmark = pytest.mark.asyncio

HOST = """
from uuid import UUID

from fastapi import FastAPI

from pns import PNS

KEY = UUID(int=42)


def user(request):
    return {"key": KEY, "nonsense": b"secret", None: None}[request.cookies.get("user")]


def application(pns, **options):
    app = FastAPI(**options)

    @app.get("/")
    async def page():
        return "hello"

    @app.post("/ship")
    async def ship():
        return await pns.notify(KEY, "Order shipped")

    return app


mounted_pns = PNS("sqlite:///pns.db", user=user)
mounted = application(mounted_pns, lifespan=mounted_pns.lifespan)
mounted.mount("/pns", mounted_pns)

wrapped_pns = PNS("sqlite:///pns.db", user=user)
wrapped = wrapped_pns.wrap(application(wrapped_pns))
"""


@asynccontextmanager
async def host(
    folder: Path, name: str, *options: str, server: Server = "uvicorn"
) -> AsyncIterator[HostProcess]:
    (folder / "main.py").write_text(HOST)
    empty_store(folder / "pns.db")
    async with HostProcess(folder, f"main:{name}", *options, server=server) as process:
        yield process


async def ship(process: HostProcess) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(f"{process.site}/ship")).status_code


@pytest.mark.parametrize(
    ("server", "name", "options"),
    [
        ("daphne", "wrapped", []),
        pytest.param("daphne", "mounted", [], marks=pytest.mark.soak),
        ("uvicorn", "mounted", ["--lifespan", "off"]),
        pytest.param("uvicorn", "wrapped", ["--lifespan", "off"], marks=pytest.mark.soak),
    ],
)
async def test_a_server_without_lifespans(
    tmp_path: Path, server: Server, name: str, options: list[str]
) -> None:
    """PNS starts at the first request, says so once, and does not keep the process from its end."""
    async with host(tmp_path, name, *options, server=server) as process:
        assert await ship(process) == 200
        async with Device.connect(process.url, "key") as device:
            assert await device.count() == 1
            assert await ship(process) == 200
            await device.count_is(2)
        assert await process.stop() in (0, -15)
    told = "the server sends no lifespan, so PNS started at the first request"
    assert_told("the server sends no lifespan, so PNS started at the first request", process.output)
    assert process.output.count(told) == 1
    assert "Traceback" not in process.output


async def test_a_server_with_lifespans_is_told_nothing(tmp_path: Path) -> None:
    async with host(tmp_path, "mounted", server="hypercorn") as process:
        assert await ship(process) == 200
        async with Device.connect(process.url, "key") as device:
            assert await device.count() == 1
        await process.stop()
    assert "lifespan" not in process.output
    assert "Traceback" not in process.output


async def test_nonsense_of_a_login_function_and_a_stop_with_open_event_streams(tmp_path: Path) -> None:
    """Without --timeout-graceful-shutdown: uvicorn waits for every answer, and a stream is one."""
    async with (
        host(tmp_path, "mounted") as process,
        EventDevice.connect(process.url, "key") as stream,
        EventDevice.connect(process.url, "key") as other,
        httpx.AsyncClient(base_url=process.url, trust_env=False) as client,
    ):
        answer = await client.post("/subscribe", headers={"cookie": "user=nonsense"})
        assert answer.status_code == 503
        assert [await stream.count(), await other.count()] == [0, 0]
        stopping = asyncio.create_task(process.stop())
        assert [await stream.closed(), await other.closed()] == [1012, 1012]
        await stopping
    assert_told("the function given as user= returned …, which is no user id", process.output)
    assert "secret" not in process.output


async def test_a_reload_ends_open_event_streams(tmp_path: Path) -> None:
    async with host(tmp_path, "wrapped", "--reload") as process:
        async with EventDevice.connect(process.url, "key") as stream:
            assert await stream.count() == 0
            (tmp_path / "main.py").write_text(HOST + "\nnew = True\n")
            assert await stream.closed() == 1012
        await eventually(lambda: "Application startup complete" in process.output.partition("Reloading")[2])
        async with EventDevice.connect(process.url, "key") as stream:
            assert await stream.count() == 0
            stopping = asyncio.create_task(process.stop())
            assert await stream.closed() == 1012
            assert await stopping == 0
