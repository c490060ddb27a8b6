"""Dispatchers that send the pushes of a store through scripted gateways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

import pns.push.dispatcher
from pns.contracts.gateway import Throughput
from pns.contracts.store import Store, Submission
from pns.model.device import Device, Network
from pns.model.notification import Notification
from pns.model.push import PushSchedule, PushState
from pns.model.timestamp import DAY
from pns.push.dispatcher import Dispatcher
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from tests.push.scripted import ScriptedGateway

NOW = PushSchedule(0, DAY)
TURNS = ("pns push", "pns webhook")
"""How the tasks of dispatchers and of senders are named."""

Dispatch = Callable[..., Awaitable[Dispatcher]]


@pytest.fixture(autouse=True)
def hasty_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs here hangs for good."""
    monkeypatch.setattr(pns.push.dispatcher, "STOP_SECONDS", 0.05)


@pytest.fixture
async def dispatch(store: Store, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Dispatch]:
    """Starts a dispatcher for a gateway."""
    async with AsyncExitStack() as stack:

        async def start(
            gateway: ScriptedGateway,
            *,
            rate: float = 1_000_000,
            concurrency: int = 100,
            timeout: float = 30,
            offline_only: bool = False,
        ) -> Dispatcher:
            gateway.throughput = Throughput(rate, concurrency)
            dispatcher = Dispatcher(
                gateway,
                store.outbox,
                clock=clock,
                metrics=metrics,
                timeout=timeout,
                offline_only=offline_only,
            )
            stack.push_async_callback(dispatcher.stop)
            dispatcher.start()
            return dispatcher

        yield start


async def install(store: Store, user_id: str, device_id: str, network: Network = "fcm") -> Device:
    return await store.outbox.register(
        Device(
            device_id=device_id,
            user_id=user_id,
            network=network,
            gateway=network,
            address=f"token of {device_id}",
            registered_at=1,
        )
    )


async def notify(store: Store, user_id: str, *ids: str, terms: PushSchedule = NOW) -> None:
    notifications = tuple(Notification(id, notification_id=id) for id in ids)
    await store.append([Submission(user_id, notifications)], terms)


async def states(store: Store, user_id: str, notification_id: str) -> list[PushState]:
    return [push.state for push in await store.outbox.pushes(user_id, notification_id)]


async def passes(clock: FakeClock, seconds: float, *, step: float = 0.5) -> None:
    """Let time pass in steps, and everything run that is due in each."""
    left = seconds
    await settled(clock)
    while left > 0:
        clock.advance(min(step, left))
        left -= step
        await settled(clock)


async def settled(clock: FakeClock) -> None:
    """Until every dispatcher and sender has done what it can and waits for time to pass."""
    for _ in range(4):
        turns = sum(task.get_name().startswith(TURNS) for task in asyncio.all_tasks())
        await clock.until_sleeping(turns)
        for _ in range(10):
            await asyncio.sleep(0)


async def until(
    condition: Callable[[], Awaitable[bool]], clock: FakeClock, *, step: float = 0.5, patience: float = 60
) -> None:
    """Let time pass until `condition` holds; `patience` in real seconds."""
    async with asyncio.timeout(patience):
        await settled(clock)
        while not await condition():
            clock.advance(step)
            await settled(clock)


async def waiting(store: Store) -> int:
    """Pushes that are to be sent yet."""
    left = ("queued", "sending", "retry")
    return sum(found.pushes for found in await store.outbox.backlog() if found.state in left)
