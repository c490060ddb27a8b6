"""What may happen to a fleet. Each is a context: inside it the fault is there, after it the fault has gone.

Those that are over at once, such as cut connections, happen on entering.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.fleet.fleet import READY_SECONDS, Broker, Fleet
from tests.harness.proxy import FaultProxy

Fault = Callable[[Fleet], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def node_killed(fleet: Fleet) -> AsyncIterator[None]:
    """The last node dies by kill -9, and is started again."""
    await fleet.nodes[-1].kill()
    yield
    await fleet.nodes[-1].start(ready_within=READY_SECONDS)


@asynccontextmanager
async def _stopped(broker: Broker) -> AsyncIterator[None]:
    await broker.stop()
    try:
        yield
    finally:
        await broker.start()


@asynccontextmanager
async def _frozen(broker: Broker) -> AsyncIterator[None]:
    broker.freeze()
    try:
        yield
    finally:
        broker.thaw()


@asynccontextmanager
async def _swallowing(line: FaultProxy) -> AsyncIterator[None]:
    line.swallow()
    try:
        yield
    finally:
        line.resume()


@asynccontextmanager
async def _refusing(line: FaultProxy) -> AsyncIterator[None]:
    line.refuse()
    try:
        yield
    finally:
        line.resume()


def bus_stopped(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    return _stopped(fleet.bus)


def bus_frozen(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    return _frozen(fleet.bus)


def bus_swallowed(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    """The connections to the bus stay open, and carry nothing."""
    return _swallowing(fleet.bus_line)


def bus_refused(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    """The connections to the bus are cut, and new ones at once."""
    return _refusing(fleet.bus_line)


@asynccontextmanager
async def redis_clients_killed(fleet: Fleet) -> AsyncIterator[None]:
    """CLIENT KILL of everybody, listeners and publishers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fleet.bus.port)
    try:
        writer.write(b"CLIENT KILL SKIPME yes\r\n")
        killed = await reader.readline()
        assert int(killed.removeprefix(b":")) >= 2 * len(fleet.nodes), killed
    finally:
        writer.close()
    yield


def store_stopped(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    return _stopped(fleet.store)


def store_frozen(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    return _frozen(fleet.store)


def store_swallowed(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    return _swallowing(fleet.store_line)


def store_refused(fleet: Fleet) -> AbstractAsyncContextManager[None]:
    return _refusing(fleet.store_line)


@asynccontextmanager
async def backends_terminated(fleet: Fleet) -> AsyncIterator[None]:
    """pg_terminate_backend of everybody in the database."""
    postgres = fleet.store.postgres
    assert await asyncio.to_thread(postgres.terminate_backends, fleet.store.url) >= len(fleet.nodes)
    yield
