"""A host application under uvicorn with four workers, each with its PNS, all on one SQLite file.

Nobody can say which worker a request goes to: so there are many requests, and all four are seen to answer.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.harness import Device, eventually
from tests.harness.host import HostProcess

WORKERS = 4
DEVICES = 12
MOST = 400


def four_workers(folder: Path) -> HostProcess:
    return HostProcess(folder, "tests.e2e.workers_app:app", "--workers", str(WORKERS))


async def _post(host: HostProcess, path: str) -> int:
    """POST on a connection of its own; returns which worker answered."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        response = await client.post(host.site + path)
    assert response.status_code == 200, host.output
    return int(response.json()["worker"])


async def test_a_notify_through_one_worker_reaches_the_devices_of_all(tmp_path: Path) -> None:
    async with four_workers(tmp_path) as host, AsyncExitStack() as stack:
        await eventually(lambda: host.output.count("Application startup complete") == WORKERS, within=30)
        devices = [await stack.enter_async_context(Device.connect(host.url, "42")) for _ in range(DEVICES)]
        await asyncio.gather(*(device.count_is(0) for device in devices))
        answered: set[int] = set()
        number = 0
        # Which worker answers is the kernel's choice: a busy one may be passed over for long.
        while len(answered) < WORKERS and number < MOST:
            number += 1
            answered.add(await _post(host, f"/notify/42/n{number}"))
            await asyncio.gather(*(device.count_is(number) for device in devices))
        assert len(answered) == WORKERS
        # The devices, too, are spread: the store knows who is connected to which node.
        assert await eventually(lambda: _nodes_with_devices(tmp_path) > 1)
        assert len(await devices[0].unseen(limit=MOST)) == number
        await asyncio.gather(*(device.count_is(0) for device in devices[1:]))


def _nodes_with_devices(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "pns.db")) as connection:
        count: int = connection.execute("SELECT count(DISTINCT node_id) FROM connections").fetchone()[0]
        return count


async def _start_on_a_new_file(folder: Path) -> None:
    async with four_workers(folder) as host:
        await eventually(lambda: host.output.count("Application startup complete") == WORKERS, within=30)
        await asyncio.gather(*(_post(host, f"/notify/42/n{number}") for number in range(20)))
    assert "Traceback" not in host.output
    with closing(sqlite3.connect(folder / "pns.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT unseen FROM users").fetchall() == [(20,)]


async def test_four_start_at_once_on_a_new_file(tmp_path: Path) -> None:
    await _start_on_a_new_file(tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_four_start_at_once_again_and_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    for _ in range(25):
        await _start_on_a_new_file(tmp_path_factory.mktemp("new"))
