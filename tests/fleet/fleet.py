"""Three real nodes on one database and one bus: what breaks between and below them, and how it comes back.

The first node is connected to both straight; the others through proxies, which can cut and swallow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx2 as httpx
import pytest

from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually
from tests.harness.gauges import metric
from tests.harness.postgres import Postgres
from tests.harness.proxy import FaultProxy

HEARTBEAT_SECONDS = 2
NODES = 3
MOST_CONNECTIONS = 9
"""Of one user."""
SETTINGS: dict[str, Any] = {
    "server__heartbeat_seconds": HEARTBEAT_SECONDS,
    "auth__recheck_seconds": HEARTBEAT_SECONDS,
    "limits__connections_per_user": MOST_CONNECTIONS,
}
NOTICED_SECONDS = 20.0
READY_SECONDS = 90.0
"""For three interpreters at once, on a machine that has other things to do."""


class Broker(Protocol):
    """What a fleet's bus runs on; Redis and NATS of the harness are such."""

    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    async def stop(self) -> None: ...
    async def start(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class PostgresBroker:
    """PostgreSQL as a bus: the one database that is also the store."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self.postgres = postgres
        self.url, self.port = database, postgres.port
        self.freeze, self.thaw = postgres.freeze, postgres.thaw

    async def stop(self) -> None:
        await asyncio.to_thread(self.postgres.stop, "immediate")

    async def start(self) -> None:
        await asyncio.to_thread(self.postgres.start)


@dataclass(frozen=True, slots=True)
class Fleet:
    """`store_line` and `bus_line` lead all nodes but the first to the store and the bus that they share."""

    application: HostApplication
    nodes: list[ServerProcess]
    store: PostgresBroker
    bus: Broker
    store_line: FaultProxy
    bus_line: FaultProxy

    @asynccontextmanager
    async def devices(self, user: str, *, each: int = 1) -> AsyncIterator[list[Device]]:
        """Devices of `user`, as many on `each` node, that were told their first count."""
        async with AsyncExitStack() as stack:
            devices = [
                await stack.enter_async_context(Device.connect(node.url, user))
                for node in self.nodes
                for _ in range(each)
            ]
            for device in devices:
                await device.count()
            yield devices

    async def counts(self) -> dict[str, int]:
        """The unseen count of every user, as the database has it."""
        lines = await asyncio.to_thread(
            self.store.postgres.run, "SELECT unseen, user_id FROM pns.users", self.store.url
        )
        return {user: int(count) for count, _, user in (line.partition("|") for line in lines)}

    async def readiness(self) -> list[tuple[int, bool]]:
        """Of every node, what /readyz answers, and whether it says that the bus is away."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answers = await asyncio.gather(*(client.get(node.ready_url) for node in self.nodes))
        return [(answer.status_code, "the bus is away" in answer.text) for answer in answers]

    async def recovers(self) -> None:
        """Return when every node is ready and hears the others, which must be soon."""
        await self.tell([(200, False)] * len(self.nodes))

    async def tell(self, expected: list[tuple[int, bool]]) -> None:
        """Return when `readiness` is as expected, at the latest when a dead bus must have been noticed."""

        async def told() -> bool:
            return await self.readiness() == expected

        await eventually(told, within=NOTICED_SECONDS, every=0.1)

    async def metrics(self, name: str) -> list[float]:
        """The value of a metric on every node."""

        async def of(backend: Backend) -> float:
            async with backend:
                return await metric(backend, name)

        return await asyncio.gather(*(of(node.backend()) for node in self.nodes))


@asynccontextmanager
async def running(
    folder: Path, application: HostApplication, postgres: Postgres, broker: Broker | None = None
) -> AsyncIterator[Fleet]:
    """A fleet on a fresh database, with PostgreSQL as its bus if there is no `broker`.

    Whatever a test does to it, no node may log a traceback.
    """
    store = PostgresBroker(postgres, await asyncio.to_thread(postgres.fresh))
    bus = broker or store
    async with (
        FaultProxy(store.port) as store_line,
        FaultProxy(bus.port) as bus_line,
        AsyncExitStack() as stack,
    ):
        nodes = []
        for number in range(NODES):
            (home := folder / f"node-{number}").mkdir()
            urls: dict[str, Any] = {
                "store__url": store_line.through(store.url) if number else store.url,
                "bus__url": bus_line.through(bus.url) if number else bus.url,
            }
            nodes.append(ServerProcess(home, auth_url=application.url, **SETTINGS, **urls))
            stack.push_async_exit(nodes[-1])
        await asyncio.gather(*(node.start(ready_within=READY_SECONDS) for node in nodes))
        yield Fleet(application, nodes, store, bus, store_line, bus_line)
        for node in nodes:
            before, said, error = node.output.partition("Traceback")
            if said:
                pytest.fail(f"a node logged an error: {before[-1000:]}{said}{error[:8000]}")
