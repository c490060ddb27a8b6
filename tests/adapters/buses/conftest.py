"""The brokers that the contract suite runs on, one of each for all tests of a process, and nodes on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple, Protocol

import pytest
import pytest_asyncio

from pns.adapters.buses.local import LocalBus
from pns.adapters.buses.nats import NATSWire
from pns.adapters.buses.postgres import PostgresWire
from pns.adapters.buses.redis import RedisWire
from pns.adapters.buses.signal_bus import SignalBus
from pns.adapters.buses.wire import Wire
from pns.contracts.bus import Bus
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from tests.harness.nats import NATS
from tests.harness.postgres import Postgres
from tests.harness.proxy import FaultProxy
from tests.harness.redis import Redis

CANARY_SECONDS = 0.3
PATIENCE_SECONDS = 2.0
WITHIN = 20.0
"""For what happens at once on an idle machine."""

BROKERS = ["redis", "nats", "postgres"]
WIRES: dict[str, Callable[[str], Wire]] = {"redis": RedisWire, "nats": NATSWire, "postgres": PostgresWire}


class Broker(Protocol):
    """What the tests do to a broker; each of the three has its own way."""

    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    async def stop(self) -> None: ...
    async def start(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class PostgresBroker:
    """PostgreSQL with the verbs of the others."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.url, self.port = postgres.url, postgres.port
        self.freeze, self.thaw = postgres.freeze, postgres.thaw

    async def stop(self) -> None:
        await asyncio.to_thread(self.postgres.stop, "immediate")

    async def start(self) -> None:
        await asyncio.to_thread(self.postgres.start)


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.told: list[frozenset[str] | None] = []
        self._news = asyncio.Event()

    def __call__(self, user_ids: Collection[str] | None) -> None:
        self.told.append(None if user_ids is None else frozenset(user_ids))
        self._news.set()

    @property
    def users(self) -> set[str]:
        return {user_id for some in self.told if some for user_id in some}

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when `condition` is true, looked at whenever something is told."""
        async with asyncio.timeout(WITHIN):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def hears(self, *user_ids: str) -> None:
        await self.until(lambda: self.users.issuperset(user_ids))


class Node(NamedTuple):
    """One node's bus and what it told."""

    bus: Bus
    ear: Ear
    metrics: Metrics

    @property
    def heard(self) -> float:
        """Users that other nodes' hints named."""
        return self.metrics.registry.get_sample_value("pns_hints_total", {"way": "heard"}) or 0.0

    @property
    def up(self) -> float | None:
        return self.metrics.registry.get_sample_value("pns_bus_up")


NewNode = Callable[..., Awaitable[Node]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis() -> AsyncIterator[Redis]:
    async with Redis() as redis:
        yield redis


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats() -> AsyncIterator[NATS]:
    async with NATS() as nats:
        yield nats


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(params=BROKERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def broker(kind: str, request: pytest.FixtureRequest) -> Broker:
    """A running broker; the test may leave it frozen, but not stopped."""
    found = request.getfixturevalue(kind)
    return PostgresBroker(found) if isinstance(found, Postgres) else found


@pytest.fixture
async def proxy(broker: Broker) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(broker.port) as proxy:
        yield proxy


@pytest.fixture
async def new_node(kind: str, broker: Broker) -> AsyncIterator[NewNode]:
    """Starts nodes on the broker (or another `url`), quick to notice what is wrong; stops them at the end."""
    async with AsyncExitStack() as stack:

        async def new(url: str = "", **options: float) -> Node:
            metrics, ear = Metrics(), Ear()
            wire = WIRES[kind](url or broker.url)
            options = {"canary_seconds": CANARY_SECONDS, "patience_seconds": PATIENCE_SECONDS} | options
            bus = SignalBus(wire, clock=SystemClock(), metrics=metrics, **options)
            stack.push_async_callback(bus.stop)
            await bus.start(ear)
            return Node(bus, ear, metrics)

        yield new


def local() -> LocalBus:
    return LocalBus(None, clock=SystemClock(), metrics=Metrics())
