"""Loops: the one lifecycle, and the ticks of retention and of the local bus."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import cast

import pytest

from pns.adapters.buses.local import WATCH_SECONDS, LocalBus
from pns.contracts.store import Store
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.inbox.retention import BATCH, PAUSE_SECONDS, Pruner
from pns.model.timestamp import DAY
from pns.runtime.looper import Looper
from pns.runtime.metrics import Metrics
from pns.settings import RetentionSettings, Settings
from pns.testing.clock import FakeClock
from tests.engine import turns


async def test_a_looper_ticks_survives_errors_and_stops_completely(caplog: pytest.LogCaptureFixture) -> None:
    clock, metrics, ticks = FakeClock(), Metrics(), []

    async def tick() -> None:
        ticks.append(clock.monotonic())
        if len(ticks) == 1:
            raise ValueError("the first turn")

    looper = Looper("test", tick, every=lambda: 5.0, clock=clock, metrics=metrics)
    await looper.stop()
    looper.start()
    looper.start()
    for _ in range(3):
        await turns()
        clock.advance(5)
    await turns()
    await looper.stop()
    await looper.stop()
    clock.advance(5)
    await turns()
    assert len(ticks) == 3
    assert b'pns_loop_errors_total{loop="test"} 1.0' in metrics.text()
    assert "a turn of the loop failed" in caplog.text


async def test_a_store_that_is_away_puts_a_turn_off(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each trouble, however long it lasts, and no error: nothing is wrong with the loop."""
    clock, metrics = FakeClock(), Metrics()
    away = iter((True, True, True, False, True, True))

    async def tick() -> None:
        if next(away, False):
            raise StoreUnavailable("it is away")

    looper = Looper("test", tick, every=lambda: 5.0, clock=clock, metrics=metrics)
    looper.start()
    for _ in range(7):
        await turns()
        clock.advance(5)
    await turns()
    await looper.stop()
    assert next(away, None) is None
    assert [record.getMessage() for record in caplog.records] == [
        "a turn of the loop is put off: it is away"
    ] * 2
    assert not any(record.exc_info for record in caplog.records)
    assert metrics.registry.get_sample_value("pns_loop_errors_total", {"loop": "test"}) is None


async def test_a_looper_that_is_woken_ticks_at_once() -> None:
    """After the tick under way, if there is one; and after its pause again when nobody wakes the loop."""
    clock, ticks, held = FakeClock(), list[float](), asyncio.Event()

    async def tick() -> None:
        ticks.append(clock.monotonic())
        await held.wait()

    looper = Looper("test", tick, every=lambda: 5.0, clock=clock, metrics=Metrics())
    looper.start()
    await turns()
    assert ticks == []
    looper.wake()
    looper.wake()
    await turns()
    assert len(ticks) == 1
    looper.wake()
    await turns()
    assert len(ticks) == 1, "a tick at a time"
    held.set()
    await turns()
    assert (len(ticks), clock.sleepers) == (2, 1)
    clock.advance(4)
    await turns()
    assert len(ticks) == 2
    clock.advance(1)
    await turns()
    assert len(ticks) == 3
    await looper.stop()
    looper.wake()
    await turns()
    assert (len(ticks), clock.sleepers) == (3, 0)


async def test_a_looper_that_was_woken_before_its_start_ticks_first() -> None:
    clock, ticks = FakeClock(), list[float]()

    async def tick() -> None:
        ticks.append(clock.monotonic())

    looper = Looper("test", tick, every=lambda: 5.0, clock=clock, metrics=Metrics())
    looper.wake()
    looper.start()
    await turns()
    assert (len(ticks), clock.sleepers) == (1, 1)
    await looper.stop()


class NotesStub:
    """Timelines without a note."""

    async def prune(self, *, noted_before: int, limit: int) -> int:
        return 0


class AnnouncementsStub:
    """No announcement."""

    async def prune(self, limit: int) -> int:
        return 0


class RetentionStub:
    """Counts down rows; records with which cut they were asked for."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.cuts: list[int | None] = []
        self.audiences = self
        self.announcements = AnnouncementsStub()
        self.timeline = NotesStub()

    async def prune(self, *, seen_before: int | None, limit: int) -> int:
        self.cuts.append(seen_before)
        removed = min(limit, self.rows)
        self.rows -= removed
        return removed

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        return 0

    async def expire(self, limit: int) -> int:
        return await self.prune(seen_before=None, limit=limit)


async def test_retention_goes_in_small_batches_with_pauses() -> None:
    clock, stub = FakeClock(), RetentionStub(rows=2 * BATCH + 1)
    pruner = Pruner(
        cast(Store, stub),
        cast(Changes, stub),
        settings=Settings(retention=RetentionSettings(seen_days=30)),
        clock=clock,
    )
    looper = Looper("prune", pruner.prune, every=lambda: 60.0, clock=clock, metrics=Metrics())
    looper.start()
    for seconds in (0, 60, PAUSE_SECONDS, PAUSE_SECONDS):
        await turns()
        clock.advance(seconds)
    await turns()
    await looper.stop()
    assert stub.rows == 0
    assert len(stub.cuts) == 3
    assert stub.cuts[0] is not None
    assert 0 <= clock.now() - 30 * DAY - stub.cuts[0] < 1_000_000


async def test_zero_days_keep_the_seen_for_ever() -> None:
    stub = RetentionStub(rows=1)
    pruner = Pruner(
        cast(Store, stub),
        cast(Changes, stub),
        settings=Settings(retention=RetentionSettings(seen_days=0)),
        clock=FakeClock(),
    )
    await pruner.prune()
    assert stub.cuts == [None]


async def test_the_local_bus_calls_and_watches() -> None:
    clock, heard, version = FakeClock(), list[Collection[str] | None](), 1

    async def foreign_changes() -> int:
        if version < 0:
            raise StoreUnavailable
        return version

    bus = LocalBus(foreign_changes, clock=clock, metrics=Metrics())
    bus.signal(["nobody listens yet"])
    await bus.start(heard.append)
    bus.signal(["alice"])
    assert heard == [["alice"]]
    for now_at, expected in ((1, 1), (2, 2), (2, 2), (-1, 2), (3, 3)):
        version = now_at
        await turns()
        clock.advance(WATCH_SECONDS)
        await turns()
        assert len(heard) == expected
    assert heard[1:] == [None, None], "another process wrote: anybody may have changed"
    await bus.stop()
    await bus.stop()
    bus.signal(["after"])
    assert len(heard) == 3
