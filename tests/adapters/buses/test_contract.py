"""What every bus promises, whatever carries its hints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pns.adapters.buses import hint
from pns.adapters.buses.interest import channel_of
from pns.adapters.buses.signal_bus import SignalBus
from pns.contracts.bus import Bus
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from tests.adapters.buses.conftest import BROKERS, WIRES, Ear, local


@pytest.fixture(params=["local", *BROKERS])
def bus(request: pytest.FixtureRequest) -> Bus:
    """A bus that was not started yet."""
    if request.param == "local":
        return local()
    wire = WIRES[request.param](request.getfixturevalue(request.param).url)
    return SignalBus(wire, clock=SystemClock(), metrics=Metrics())


@pytest.fixture
async def ear(bus: Bus) -> AsyncIterator[Ear]:
    """What the started bus tells."""
    ear = Ear()
    await bus.start(ear)
    yield ear
    await bus.stop()


async def test_a_nodes_own_hints_are_told_at_once(bus: Bus, ear: Ear) -> None:
    bus.signal(["ann", "bob"])
    assert ear.told[-1] == {"ann", "bob"}


async def test_it_is_well(bus: Bus, ear: Ear) -> None:
    assert bus.status() is None


async def test_own_hints_need_no_join(bus: Bus, ear: Ear) -> None:
    await bus.join("ann")
    bus.leave("ann")
    bus.signal(["ann"])
    assert ear.told[-1] == {"ann"}


async def test_a_hint_comes_once(bus: Bus, ear: Ear) -> None:
    """Not again from the broker, after which the second hint would come."""
    await bus.join("ann")
    bus.signal(["ann"])
    bus.signal(["bob"])
    await asyncio.sleep(0.1)  # nothing may come, so there is nothing to wait for
    assert [told for told in ear.told if told] == [{"ann"}, {"bob"}]


async def test_leave_undoes_all_joins_and_may_come_alone(bus: Bus, ear: Ear) -> None:
    await asyncio.gather(*(bus.join("ann") for _ in range(3)))
    bus.leave("ann")
    bus.leave("ann")
    bus.leave("never joined")


async def test_it_may_stop_before_it_started_and_twice(bus: Bus) -> None:
    await bus.stop()
    ear = Ear()
    await bus.start(ear)
    await bus.stop()
    await bus.stop()
    told = len(ear.told)
    bus.signal(["ann"])
    await bus.join("ann")
    bus.leave("ann")
    assert len(ear.told) == told


async def test_joins_and_hints_before_the_start_do_no_harm(bus: Bus) -> None:
    bus.signal(["ann"])
    await bus.join("ann")
    ear = Ear()
    await bus.start(ear)
    assert bus.status() is None
    await bus.stop()


async def test_a_hundred_thousand_users_do_not_hold_the_loop(bus: Bus, ear: Ear) -> None:
    """After the signal, no step takes half of the time in which the hints of all these users are written."""
    users = [f"user-{number}" for number in range(100_000)]
    before = time.thread_time()
    assert len([(channel_of(user), hint.text("node", [user])) for user in users]) == len(users)
    all_at_once = time.thread_time() - before
    bus.signal(users)
    longest, before = 0.0, time.thread_time()
    for _ in range(50):
        await asyncio.sleep(0.002)
        longest, before = max(longest, time.thread_time() - before), time.thread_time()
    assert longest < all_at_once / 2
