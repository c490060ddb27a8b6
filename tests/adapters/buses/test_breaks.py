"""What becomes of a bus when its broker, or the network to it, fails: it is told, and it comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import psutil
import pytest

from pns.adapters.buses import signal_bus
from pns.adapters.buses.signal_bus import CANARY_SECONDS, PATIENCE_SECONDS, SignalBus
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from tests.adapters.buses.conftest import WIRES, WITHIN, Broker, Ear, NewNode, Node
from tests.harness import eventually
from tests.harness.proxy import FaultProxy
from tests.harness.server import free_port

Break = Callable[[Broker, FaultProxy], Awaitable[None]]


async def stop(broker: Broker, proxy: FaultProxy) -> None:
    await broker.stop()


async def freeze(broker: Broker, proxy: FaultProxy) -> None:
    broker.freeze()


async def swallow(broker: Broker, proxy: FaultProxy) -> None:
    proxy.swallow()


async def refuse(broker: Broker, proxy: FaultProxy) -> None:
    proxy.refuse()


BREAKS = [stop, freeze, swallow, refuse]


async def mend(by: Break, broker: Broker, proxy: FaultProxy) -> None:
    if by is stop:
        await broker.start()
    broker.thaw()
    proxy.resume()


@pytest.fixture(params=BREAKS, ids=lambda by: by.__name__)
def by(request: pytest.FixtureRequest) -> Break:
    found: Break = request.param
    return found


def heard_of_a_loss(node: Node) -> bool:
    return None in node.ear.told


async def works(one: Node, other: Node) -> None:
    """Hints flow from one to the other, each of whom has learned of it."""
    await other.bus.join("last")

    async def heard() -> bool:
        one.bus.signal(["last"])
        return {"last"} in other.ear.told

    await eventually(heard, every=0.1)


async def test_a_break_is_told_and_ends(
    broker: Broker, proxy: FaultProxy, new_node: NewNode, by: Break
) -> None:
    node, other = await new_node(proxy.through(broker.url)), await new_node(proxy.through(broker.url))
    await node.bus.join("ann")
    assert (node.bus.status(), node.up) == (None, 1)
    node.ear.told.clear()
    await by(broker, proxy)
    await eventually(lambda: node.bus.status() is not None and other.bus.status() is not None)
    assert node.up == 0
    await mend(by, broker, proxy)
    # Whoever hears that anybody may have changed is subscribed already.
    await asyncio.gather(*(each.ear.until(partial(heard_of_a_loss, each)) for each in (node, other)))
    await eventually(lambda: other.bus.status() is None)
    other.bus.signal(["ann"])
    await node.ear.hears("ann")
    assert (node.bus.status(), node.up) == (None, 1)


@pytest.mark.soak
@pytest.mark.parametrize("by", [freeze, swallow], indirect=True, ids=lambda by: by.__name__)
async def test_with_the_constants_that_everybody_has_it_takes_less_than_20_s(
    broker: Broker, proxy: FaultProxy, new_node: NewNode, by: Break
) -> None:
    url = proxy.through(broker.url)
    node = await new_node(url, canary_seconds=CANARY_SECONDS, patience_seconds=PATIENCE_SECONDS)
    await by(broker, proxy)
    await eventually(lambda: node.bus.status() is not None, within=20.0)
    await mend(by, broker, proxy)
    await eventually(lambda: node.bus.status() is None, within=20.0)


async def test_hints_while_it_is_away_are_sent_when_it_is_back(
    broker: Broker, proxy: FaultProxy, new_node: NewNode
) -> None:
    """To a node that never lost its line and hears no "anybody"."""
    away, there = await new_node(proxy.through(broker.url)), await new_node()
    await there.bus.join("ann")
    proxy.refuse()
    await eventually(lambda: away.bus.status() is not None)
    away.bus.signal(["ann"])
    assert {"ann"} in away.ear.told
    there.ear.told.clear()
    proxy.resume()
    await there.ear.hears("ann")
    assert None not in there.ear.told


async def test_who_joins_while_it_is_away_is_heard_when_it_is_back(
    broker: Broker, proxy: FaultProxy, new_node: NewNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_bus, "JOIN_SECONDS", 3600)
    node, other = await new_node(proxy.through(broker.url)), await new_node()
    proxy.refuse()
    await eventually(lambda: node.bus.status() is not None)
    async with asyncio.timeout(WITHIN):  # an answer that cannot come is not waited for
        await node.bus.join("ann")
    node.ear.told.clear()
    proxy.resume()
    await node.ear.until(lambda: None in node.ear.told)
    other.bus.signal(["ann"])
    await node.ear.hears("ann")


async def test_a_broker_that_is_away_does_not_hold_up_the_start(broker: Broker, new_node: NewNode) -> None:
    await broker.stop()
    node = await new_node()
    assert node.bus.status() is not None
    node.bus.signal(["ann"])
    assert node.ear.told == [{"ann"}]
    await broker.start()
    await node.ear.until(lambda: None in node.ear.told)
    assert node.bus.status() is None


@pytest.mark.parametrize("state", [None, *BREAKS], ids=lambda by: by.__name__ if by else "well")
async def test_after_the_stop_nothing_is_left(
    kind: str, broker: Broker, proxy: FaultProxy, state: Break | None
) -> None:
    """No task and no socket, in whatever state the line was; and it takes no time."""
    before = sockets(), asyncio.all_tasks()
    bus = SignalBus(WIRES[kind](proxy.through(broker.url)), clock=SystemClock(), metrics=Metrics())
    await bus.start(Ear())
    await bus.join("ann")
    if state is not None:
        await state(broker, proxy)
    bus.signal([f"user-{number}" for number in range(5_000)])
    for _ in range(5):
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_SECONDS - 0.5):
        await bus.stop()
    await eventually(lambda: sockets(to=proxy.port) == 0)  # before the broker answers again
    if state is not None:
        await mend(state, broker, proxy)
    await eventually(lambda: proxy.connections == 0)
    await eventually(lambda: (sockets(), asyncio.all_tasks()) == before)


async def test_it_may_be_stopped_while_it_connects(kind: str, broker: Broker, proxy: FaultProxy) -> None:
    before = sockets(), asyncio.all_tasks()
    proxy.swallow()
    bus = SignalBus(WIRES[kind](proxy.through(broker.url)), clock=SystemClock(), metrics=Metrics())
    start = asyncio.create_task(bus.start(Ear()))
    await eventually(lambda: proxy.connections > 0)
    async with asyncio.timeout(PATIENCE_SECONDS - 0.5):
        await bus.stop()
        await start
    proxy.resume()
    await eventually(lambda: proxy.connections == 0)
    await eventually(lambda: (sockets(), asyncio.all_tasks()) == before)


async def test_a_slow_line_is_no_broken_one(broker: Broker, proxy: FaultProxy, new_node: NewNode) -> None:
    proxy.latency = 0.05
    node, other = await new_node(proxy.through(broker.url)), await new_node()
    await node.bus.join("ann")
    other.bus.signal(["ann"])
    await node.ear.hears("ann")
    assert node.ear.told.count(None) == 1


async def test_the_password_is_never_logged(
    kind: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], new_node: NewNode
) -> None:
    caplog.set_level(logging.DEBUG)
    node = await new_node(
        f"{kind.replace('postgres', 'postgresql')}://me:t0p-secret@127.0.0.1:{free_port()}/0"
    )
    status = node.bus.status()
    assert status is not None
    assert "bus is away" in caplog.text
    assert "t0p-secret" not in caplog.text + status + repr(node) + "".join(capfd.readouterr())


def sockets(to: int | None = None) -> int:
    """The sockets of this process, or those of them that are connected to a port."""
    found = psutil.Process().net_connections(kind="inet")
    return sum(to is None or bool(each.raddr and each.raddr.port == to) for each in found)
