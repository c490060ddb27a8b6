"""Three real nodes on one database and one bus: what breaks between and below them, and how it comes back.

The first node is connected to both straight; the others through proxies, which can cut and swallow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx2 as httpx

from tests.harness import Backend, ServerProcess
from tests.harness.gauges import metric
from tests.harness.postgres import Postgres
from tests.harness.proxy import FaultProxy

HEARTBEAT_SECONDS = 2
NODES = 3
RECOVERY_SECONDS = 20.0


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
    """`store` and `bus` are what the nodes share; `store_line` and `bus_line` lead all but the first there."""

    nodes: list[ServerProcess]
    store: PostgresBroker
    bus: Broker
    store_line: FaultProxy
    bus_line: FaultProxy

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
        """Return when every node is ready and hears the others. Raises TimeoutError."""
        async with asyncio.timeout(RECOVERY_SECONDS):
            while await self.readiness() != [(200, False)] * len(self.nodes):
                await asyncio.sleep(0.1)

    async def metrics(self, name: str) -> list[float]:
        """The value of a metric on every node."""

        async def of(backend: Backend) -> float:
            async with backend:
                return await metric(backend, name)

        return await asyncio.gather(*(of(node.backend()) for node in self.nodes))


@asynccontextmanager
async def running(
    folder: Path, *, auth_url: str, postgres: Postgres, broker: Broker | None = None, **settings: object
) -> AsyncIterator[Fleet]:
    """A fleet on a fresh database, with PostgreSQL as its bus if there is no `broker`."""
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
            urls = {
                "store__url": store_line.through(store.url) if number else store.url,
                "bus__url": bus_line.through(bus.url) if number else bus.url,
            }
            options = {"server__heartbeat_seconds": HEARTBEAT_SECONDS, **urls, **settings}
            nodes.append(ServerProcess(home, auth_url=auth_url, **options))
        await asyncio.gather(*(stack.enter_async_context(node) for node in nodes))
        yield Fleet(nodes, store, bus, store_line, bus_line)
