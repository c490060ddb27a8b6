"""What a node does beside sending: unserved, measures, and what has ended long ago."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pns.contracts.outbox import Claim, Settlement
from pns.contracts.store import Store
from pns.model.push import PushSchedule, PushState
from pns.model.role import Role
from pns.model.timestamp import DAY
from pns.push.engine import PushEngine
from pns.push.unserved import STILL_SECONDS, UNSERVED_SECONDS, Unserved
from pns.runtime.metrics import Metrics
from pns.settings import PushSettings
from pns.testing import FakeClock
from tests.harness import eventually

from .conftest import install, notify
from .scripted import ScriptedGateway

Start = Callable[[Role], Awaitable[PushEngine]]


@pytest.fixture
async def start(store: Store, clock: FakeClock, metrics: Metrics) -> AsyncIterator[Start]:
    started: list[PushEngine] = []

    async def start(role: Role) -> PushEngine:
        pushing = PushEngine(
            PushSettings(), [ScriptedGateway()], store, role=role, clock=clock, metrics=metrics
        )
        started.append(pushing)
        await pushing.start()
        return pushing

    yield start
    for pushing in started:
        await pushing.stop()


# ── unserved ────────────────────────────────────────────────────────────────────────────────────────────


async def look(unserved: Unserved, clock: FakeClock, seconds: float) -> None:
    for _ in range(round(seconds / UNSERVED_SECONDS)):
        clock.advance(UNSERVED_SECONDS)
        await unserved.tick()


async def test_what_nobody_serves_says_so_and_ends(
    store: Store, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n", terms=PushSchedule(0, round(2.5 * STILL_SECONDS * 1_000_000)))
    unserved = Unserved(store.outbox, {"webpush"}, clock)
    await unserved.tick()
    await look(unserved, clock, STILL_SECONDS)
    (push,) = await store.outbox.pushes("42", "n")
    assert (push.state, push.attempts, push.reason) == (PushState.RETRY, 0, "[push.fcm] is not set")
    assert push.due_at == clock.now() + UNSERVED_SECONDS * 1_000_000, "whoever begins to serve it soon has it"
    await look(unserved, clock, 3 * STILL_SECONDS)
    (push,) = await store.outbox.pushes("42", "n")
    assert push.state is PushState.EXPIRED
    assert [(each.levelno, each.getMessage()[:26]) for each in caplog.records] == [
        (logging.WARNING, "pushes wait for a gateway ")
    ]


async def test_what_another_node_serves_is_left_to_it(store: Store, clock: FakeClock) -> None:
    """However slow it is, and however long its service is in trouble."""
    await install(store, "42", "phone")
    await notify(store, "42", *(f"n{number}" for number in range(20)))
    unserved = Unserved(store.outbox, {"webpush"}, clock)
    for _ in range(10):
        await look(unserved, clock, 300)
        lease = clock.now() + 25_000_000
        (push,) = await store.outbox.claim(Claim("fcm", 1, lease, offline_only=False))
        due_at = clock.now() + 300_000_000
        await store.outbox.settle([Settlement(push, PushState.RETRY, "503", due_at=due_at)])
    reasons = {each.reason for n in range(20) for each in await store.outbox.pushes("42", f"n{n}")}
    assert reasons == {None, "503"}


async def test_what_is_not_due_yet_is_no_stray(store: Store, clock: FakeClock) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n", terms=PushSchedule(DAY, DAY))
    await look(Unserved(store.outbox, {"webpush"}, clock), clock, 3 * STILL_SECONDS)
    (push,) = await store.outbox.pushes("42", "n")
    assert push.state is PushState.QUEUED


# ── measures ──────────────────────────────────────────────────────────────────────────────────────────


async def test_how_late_pushes_are_is_told_where_nobody_sends_them(
    store: Store, clock: FakeClock, metrics: Metrics, start: Start
) -> None:
    def overdue() -> float | None:
        return metrics.registry.get_sample_value("pns_push_overdue_seconds", {"gateway": "fcm"})

    await start("web")
    await clock.until_sleeping(2)
    clock.advance(15)
    await eventually(lambda: overdue() == 0)
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await clock.until_sleeping(2)
    clock.advance(100)
    await eventually(lambda: overdue() == 100)
