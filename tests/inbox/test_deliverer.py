"""Delivering: as soon as something is due, in bounded steps, and cheap while nothing is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Store, Submission
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.inbox.deliverer import COUNT_SECONDS, LOOK_SECONDS, PAUSE_SECONDS, STEP_ROWS, Deliverer
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from tests.inbox.test_spreader import Signals


@pytest.fixture
def bus() -> Signals:
    return Signals()


@pytest.fixture
def deliverer(store: Store, bus: Signals, clock: FakeClock, metrics: Metrics) -> Deliverer:
    return Deliverer(store, Changes(store, bus, metrics), clock, metrics=metrics)


async def wait(store: Store, clock: FakeClock, user: str, seconds: float, *, times: int = 1) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now(), seconds=seconds)
    await store.append([Submission(user, (Notification("x", deliver_date=at),) * times)])


async def unseen(store: Store, user: str) -> int:
    return (await store.states([user]))[user].unseen


async def tick(deliverer: Deliverer, clock: FakeClock) -> int:
    """A whole tick; returns the number of its pauses."""
    task, pauses = asyncio.create_task(deliverer.tick()), 0
    while not task.done():
        asleep = asyncio.create_task(clock.until_sleeping(1))
        await asyncio.wait([task, asleep], return_when="FIRST_COMPLETED")
        asleep.cancel()
        if not task.done():
            pauses += 1
            clock.advance(PAUSE_SECONDS)
            await asyncio.sleep(0)
    await task
    return pauses


async def test_it_looks_again_when_the_next_is_due(
    deliverer: Deliverer, store: Store, clock: FakeClock
) -> None:
    assert deliverer.seconds == LOOK_SECONDS
    await wait(store, clock, "ann", 0.3)
    await wait(store, clock, "ann", 7)
    assert await tick(deliverer, clock) == 0
    assert deliverer.seconds == pytest.approx(0.3)
    clock.advance(0.3)
    assert deliverer.seconds == LOOK_SECONDS  # another node may be at work: no hurry
    assert await tick(deliverer, clock) == 1
    assert (await unseen(store, "ann"), deliverer.seconds) == (1, LOOK_SECONDS)
    clock.jump(-3600)
    assert deliverer.seconds == LOOK_SECONDS


async def test_many_are_delivered_in_steps_and_their_users_told(
    deliverer: Deliverer, store: Store, clock: FakeClock, bus: Signals, metrics: Metrics
) -> None:
    await wait(store, clock, "ann", 1, times=STEP_ROWS)
    await wait(store, clock, "bob", 2)
    await wait(store, clock, "cid", 3600)
    clock.advance(2)
    bus.users.clear()
    assert await tick(deliverer, clock) == 2
    assert [await unseen(store, user) for user in ("ann", "bob", "cid")] == [STEP_ROWS, 1, 0]
    assert bus.users == ["ann", "bob"]
    assert metrics.notifications_stored._value.get() == STEP_ROWS + 1


async def test_what_waits_is_measured(
    deliverer: Deliverer, store: Store, clock: FakeClock, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wait(store, clock, "ann", 1)
    await wait(store, clock, "ann", 3600)
    await tick(deliverer, clock)
    assert (metrics.pending._value.get(), metrics.pending_overdue_seconds._value.get()) == (2, 0)
    clock.advance(10)
    with monkeypatch.context() as broken:
        broken.setattr(store.later, "deliver", _away)
        with pytest.raises(StoreUnavailable):
            await deliverer.tick()
    assert metrics.pending_overdue_seconds._value.get() == 9
    await tick(deliverer, clock)
    assert (metrics.pending._value.get(), metrics.pending_overdue_seconds._value.get()) == (2, 0)
    clock.advance(COUNT_SECONDS - 11)
    await tick(deliverer, clock)
    assert metrics.pending._value.get() == 2
    clock.advance(1)
    await tick(deliverer, clock)
    assert metrics.pending._value.get() == 1


async def _away(**more: object) -> None:
    raise StoreUnavailable
