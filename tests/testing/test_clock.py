from __future__ import annotations

import asyncio

import pytest

from pns.runtime.clock import Clock
from pns.testing.clock import FakeClock


async def test_time_passes_only_by_advance() -> None:
    clock: Clock = FakeClock(now=5_000_000)
    before = clock.monotonic()
    await asyncio.sleep(0)
    assert clock.monotonic() == before
    assert isinstance(clock, FakeClock)
    clock.advance(1.5)
    assert clock.monotonic() == before + 1.5
    assert clock.now() == 6_500_000


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock = FakeClock()
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3, 1, 2, 9):
            tasks.create_task(sleep(seconds))
        await clock.until_sleeping(4)
        clock.advance(0.9)
        await asyncio.sleep(0)
        assert woken == []
        clock.advance(2.1)
        await asyncio.sleep(0)
        assert woken == [1, 2, 3]
        assert clock.sleepers == 1
        clock.advance(6)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.until_sleeping()
    task.cancel()
    await asyncio.wait([task])
    assert clock.sleepers == 0
    clock.advance(1)


async def test_no_sleep_is_one_turn_of_the_loop() -> None:
    await FakeClock().sleep(0)
    await FakeClock().sleep(-1)


async def test_only_the_wall_clock_jumps() -> None:
    clock = FakeClock(now=10_000_000)
    before = clock.monotonic()
    clock.jump(-4)
    assert clock.now() == 6_000_000
    assert clock.monotonic() == before
    with pytest.raises(ValueError, match="jump"):
        clock.advance(-1)
