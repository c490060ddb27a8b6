"""`pns serve --workers 3` on PostgreSQL and Redis: three processes that share a port, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.postgres import Postgres
from tests.harness.redis import Redis
from tests.harness.server import SERVE

WORKERS = 3
DEVICES = 12
FEWER = 2
"""Workers where any number above one will do: each costs a second of a core."""

NewService = Callable[..., ServerProcess]


def program(workers: int) -> list[str]:
    return [*SERVE, "--workers", str(workers)]


def in_a_group(workers: int) -> list[str]:
    """As from a terminal: Ctrl-C goes to a whole group of processes."""
    return ["setsid", sys.executable, "-m", *program(workers)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.fresh()


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    async with Redis() as redis:
        yield redis


@pytest.fixture
def new_service(application: HostApplication, tmp_path: Path, database: str, redis: Redis) -> NewService:
    """Makes a service that was not started yet."""

    def new(command: list[str] | None = None, *, workers: int = WORKERS, **settings: object) -> ServerProcess:
        urls = {"store__url": database, "bus__url": redis.url} | settings
        words = program(workers)
        return ServerProcess(tmp_path, auth_url=application.url, program=words, command=command, **urls)

    return new


def workers(service: ServerProcess) -> set[psutil.Process]:
    """Those that live."""
    children = psutil.Process(service.pid).children()
    return {child for child in children if _lives(child)}


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def ready(service: ServerProcess) -> set[psutil.Process]:
    """The workers, once all serve: until then, a signal may find one that hears none yet."""
    await eventually(lambda: service.output.count("PNS is ready") == WORKERS, within=30)
    return workers(service)


async def connect(stack: AsyncExitStack, service: ServerProcess, count: int) -> list[Device]:
    return [await stack.enter_async_context(Device.connect(service.url, "alice")) for _ in range(count)]


async def ended(processes: set[psutil.Process]) -> None:
    await eventually(lambda: not any(process.is_running() for process in processes), within=30)


async def loses(device: Device) -> bool:
    """Whether the device loses its connection before it is told that there are two."""
    try:
        await device.count_is(2)
    except ConnectionClosed:
        return True
    return False


async def test_devices_of_all_workers_and_the_death_of_one(
    new_service: NewService, postgres: Postgres, database: str
) -> None:
    """All are told; who was on the dead one connects again, and another takes its place; then all drain."""
    async with new_service() as service, service.backend() as backend, AsyncExitStack() as stack:
        first = await ready(service)
        assert len(first) == WORKERS
        devices = await connect(stack, service, DEVICES)

        async def spread() -> dict[str, int]:
            lines = postgres.run("SELECT node_id, sum(connections) FROM pns.connections GROUP BY 1", database)
            found = {node: int(count) for node, _, count in (line.partition("|") for line in lines)}
            return found if sum(found.values()) == DEVICES else {}

        assert len(await eventually(spread)) > 1
        await backend.notify("alice", "for all")
        await asyncio.gather(*(device.count_is(1) for device in devices))

        next(iter(first)).kill()
        await eventually(lambda: len(workers(service) - first) == 1)
        await backend.notify("alice", "after a death")
        lost = await asyncio.gather(*(loses(device) for device in devices))
        again = await connect(stack, service, sum(lost))
        await asyncio.gather(*(device.count_is(2) for device in again))
        left = [device for device, gone in zip(devices, lost, strict=True) if not gone] + again

        await eventually(lambda: service.output.count("PNS is ready") == WORKERS + 1, within=30)
        last = workers(service)
        assert await service.stop() == 0
        assert await asyncio.gather(*(device.closed() for device in left)) == [1012] * DEVICES
        await ended(last)
        assert "Traceback" not in service.output


async def test_workers_whose_parent_is_killed_drain_and_end(new_service: NewService) -> None:
    async with new_service() as service, AsyncExitStack() as stack:
        children = await ready(service)
        devices = await connect(stack, service, DEVICES)
        await service.kill()
        assert await asyncio.gather(*(device.closed() for device in devices)) == [1012] * DEVICES
        await ended(children)
        assert "Traceback" not in service.output


async def test_ctrl_c_drains_once(new_service: NewService) -> None:
    async with new_service(in_a_group(WORKERS)) as service, AsyncExitStack() as stack:
        children = await ready(service)
        devices = await connect(stack, service, DEVICES)
        os.killpg(service.pid, signal.SIGINT)
        assert await asyncio.gather(*(device.closed() for device in devices)) == [1012] * DEVICES
        assert service.process is not None
        assert await asyncio.to_thread(service.process.wait, 30) == 0
        await ended(children)
        assert service.output.count("going down") == WORKERS
        assert "Traceback" not in service.output


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_they_start_is_a_graceful_end(
    new_service: NewService, sig: signal.Signals
) -> None:
    service = new_service(in_a_group(FEWER))
    service._spawn()
    try:
        await eventually(lambda: workers(service), every=0.001)
        os.killpg(service.pid, sig)
        assert service.process is not None
        assert await asyncio.to_thread(service.process.wait, 30) == 0
        assert "Traceback" not in service.output
    finally:
        await service.kill()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"store__url": "postgresql://postgres@127.0.0.1:1/nowhere"}, 1),
        ({"store__url": "postgresql://postgres@127.0.0.1:1/x?sslmode=verify-ca&sslrootcert=/no.pem"}, 2),
        ({"bus__url": "redis://127.0.0.1/no-number"}, 2),
    ],
    ids=["database", "file", "bus"],
)
async def test_what_none_of_them_can_do_is_said_once(
    new_service: NewService, settings: dict[str, object], code: int
) -> None:
    service = new_service(workers=FEWER, **settings)
    assert await service.refuses() == code
    assert service.output.startswith("pns: "), service.output
    assert service.output.count("\n") == 1
