"""What the dispatcher makes of trouble: of a service, a user's services, the store, a node that stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

import pns.push.turns
from pns.contracts.gateway import Outcome, Receipt
from pns.contracts.outbox import Claim, Settlement
from pns.contracts.store import Store
from pns.errors import StoreUnavailable
from pns.model.push import Push, PushState
from pns.push.circuit import FAILURES
from pns.push.turns import AWAY_SECONDS
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from tests.harness import eventually

from .conftest import Dispatch, install, notify, passes, settled, states
from .scripted import ACCEPTED, ScriptedGateway

AWAY = Receipt(Outcome.UNAVAILABLE, "503")


def open_circuits(metrics: Metrics, gateway: str = "fcm") -> float | None:
    return metrics.registry.get_sample_value("pns_push_circuits_open", {"gateway": gateway})


async def test_what_is_claimed_while_a_node_stops_is_given_back(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store goes on with what it was asked: nobody would send that until its lease ends."""
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    asked, claim = asyncio.Event(), store.outbox.claim

    async def observed(wanted: Claim) -> list[Push]:
        asked.set()
        return await claim(wanted)

    monkeypatch.setattr(store.outbox, "claim", observed)
    gateway = ScriptedGateway()
    dispatcher = await dispatch(gateway)
    await asked.wait()
    await dispatcher.stop()
    assert gateway.asked == []
    (push,) = await store.outbox.pushes("42", "n")
    assert (push.state, push.attempts, push.reason) == (PushState.RETRY, 0, "its node went down")
    heir = ScriptedGateway()
    await dispatch(heir)
    await passes(clock, 1)
    assert [push.attempt for push in heir.asked] == [1]


class CutOff(ScriptedGateway):
    """Answers no push; `cut_off` is set as soon as one is given up."""

    def __init__(self) -> None:
        super().__init__(script=lambda push: None)
        self.cut_off = asyncio.Event()

    async def push(self, push: Push) -> Receipt:
        try:
            return await super().push(push)
        finally:
            self.cut_off.set()


class SlowClaims:
    """A store that makes the first claim at once, and no other before the test says so.

    The store makes a claim also where its caller was cancelled, as a group commit does.
    """

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._claim = store.outbox.claim
        self._made: list[asyncio.Task[list[Push]]] = []
        monkeypatch.setattr(store.outbox, "claim", self)

    async def __call__(self, wanted: Claim) -> list[Push]:
        self._made.append(asyncio.create_task(self._make(wanted, at_once=not self._made)))
        return await asyncio.shield(self._made[-1])

    async def made(self) -> None:
        """Return when the store has made every claim."""
        await asyncio.wait(self._made)

    async def _make(self, wanted: Claim, *, at_once: bool) -> list[Push]:
        if not at_once:
            self.asked.set()
            await self.answer
        return await self._claim(wanted)


async def stopping_during_a_claim(
    store: Store, clock: FakeClock, dispatch: Dispatch, claims: SlowClaims
) -> tuple[CutOff, asyncio.Task[None]]:
    """A node that goes down: one push hangs, and the claim of another is not answered yet."""
    await install(store, "42", "phone")
    await notify(store, "42", "hangs")
    gateway = CutOff()
    dispatcher = await dispatch(gateway)
    await passes(clock, 1)
    assert len(gateway.asked) == 1
    await notify(store, "42", "claimed")
    clock.advance(1)
    await claims.asked.wait()
    return gateway, asyncio.create_task(dispatcher.stop())


async def test_a_claim_that_is_answered_after_the_last_push_was_cut_off_is_given_back(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine, or a slow disk: the claim takes longer than STOP_SECONDS."""
    claims = SlowClaims(store, monkeypatch)
    gateway, stopping = await stopping_during_a_claim(store, clock, dispatch, claims)
    await gateway.cut_off.wait()
    for _ in range(10):  # as long as the stop has anything else to do
        await asyncio.sleep(0)
    claims.answer.set_result(None)
    await stopping
    await claims.made()
    (push,) = await store.outbox.pushes("42", "claimed")
    assert (push.state, push.attempts, push.reason) == (PushState.RETRY, 0, "its node went down")


async def test_a_claim_that_fails_during_the_stop_gives_nothing_back(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = SlowClaims(store, monkeypatch)
    gateway, stopping = await stopping_during_a_claim(store, clock, dispatch, claims)
    await gateway.cut_off.wait()
    claims.answer.set_exception(StoreUnavailable())
    await stopping
    assert await states(store, "42", "claimed") == [PushState.QUEUED]


async def test_a_claim_that_hangs_does_not_hold_up_the_stop(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(pns.push.turns, "CLAIM_SECONDS", 0.01)
    claims = SlowClaims(store, monkeypatch)
    _, stopping = await stopping_during_a_claim(store, clock, dispatch, claims)
    await stopping
    assert "a claim was not answered" in caplog.text
    claims.answer.set_result(None)
    await claims.made()
    assert await states(store, "42", "claimed") == [PushState.SENDING], "until its lease ends"


async def test_what_was_sent_is_recorded_when_the_store_is_back(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    away, settle = [True], store.outbox.settle

    async def unreliable(settlements: Sequence[Settlement]) -> None:
        if away:
            raise StoreUnavailable
        await settle(settlements)

    monkeypatch.setattr(store.outbox, "settle", unreliable)
    gateway = ScriptedGateway()
    await dispatch(gateway)
    await passes(clock, 3 * AWAY_SECONDS)
    assert await states(store, "42", "n") == [PushState.SENDING] * 3
    away.clear()
    await passes(clock, 2 * AWAY_SECONDS)
    assert await states(store, "42", "n") == [PushState.ACCEPTED] * 3
    assert len(gateway.asked) == 3


async def test_a_store_that_stays_away_is_told_of_once(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    away, next_due = [True], store.outbox.next_due

    async def unreliable() -> object:
        if away:
            raise StoreUnavailable
        return await next_due()

    monkeypatch.setattr(store.outbox, "next_due", unreliable)
    await dispatch(ScriptedGateway())
    await passes(clock, 60)
    assert caplog.text.count("pushes are put off") == 1
    away.clear()
    await passes(clock, 10)
    away.append(True)
    await passes(clock, 60)
    assert caplog.text.count("pushes are put off") == 2


async def test_a_service_that_hangs_is_left_alone(
    store: Store, clock: FakeClock, dispatch: Dispatch, metrics: Metrics
) -> None:
    for number in range(FAILURES + 20):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: None)
    await dispatch(gateway, concurrency=FAILURES, timeout=0.05)
    await settled(clock)
    await eventually(lambda: open_circuits(metrics) == 1)
    await settled(clock)
    assert len(gateway.asked) == FAILURES


async def test_who_asks_again_and_again_for_later_is_left_alone_as_long(
    store: Store, clock: FakeClock, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: Receipt(Outcome.RETRY, "429", retry_after=30))
    await dispatch(gateway, concurrency=1)
    await passes(clock, 29)
    assert len(gateway.asked) == FAILURES
    assert "pushes wait: 429" in caplog.text
    gateway.script = lambda push: ACCEPTED
    await passes(clock, 60)
    assert len(gateway.taken) == 50


async def test_one_devices_later_does_not_keep_others_waiting(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    for name in ("busy", "phone"):
        await install(store, "42", name)
    await notify(store, "42", *(f"n{number}" for number in range(20)))
    later = Receipt(Outcome.RETRY, "429", retry_after=30)
    gateway = ScriptedGateway(script=lambda push: later if push.device.device_id == "busy" else ACCEPTED)
    await dispatch(gateway, concurrency=1)
    await passes(clock, 5, step=0.05)
    assert len(gateway.taken) == 20


async def test_a_fault_of_ours_closes_no_circuit(
    store: Store, clock: FakeClock, dispatch: Dispatch, metrics: Metrics
) -> None:
    for number in range(FAILURES + 5):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: AWAY)
    await dispatch(gateway, concurrency=1)
    await passes(clock, 0.9, step=0.1)
    assert (len(gateway.asked), open_circuits(metrics)) == (FAILURES, 1)

    def fail(push: Push) -> Receipt:
        raise RuntimeError("a fault")

    gateway.script = fail
    await passes(clock, 2, step=0.1)
    assert len(gateway.asked) > FAILURES
    assert open_circuits(metrics) == 1
    gateway.script = lambda push: ACCEPTED
    await passes(clock, 120)
    assert open_circuits(metrics) == 0
    assert len(gateway.taken) == FAILURES + 5


async def test_another_kind_of_trouble_is_told_of_and_whose_it_is(
    store: Store, clock: FakeClock, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        await install(store, f"user {number}", f"phone {number}")
        await notify(store, f"user {number}", "n")
    gateway = ScriptedGateway(script=lambda push: AWAY)
    gateway.circuits = lambda device: "push.example"
    await dispatch(gateway, concurrency=1)
    await passes(clock, 30)
    gateway.script = lambda push: Receipt(Outcome.REFUSED, "wrong password")
    await passes(clock, 60)
    told = [(each.levelno, each.getMessage(), vars(each)["service"]) for each in caplog.records]
    assert told == [
        (logging.WARNING, "pushes wait: 503", "push.example"),
        (logging.ERROR, "pushes wait: wrong password", "push.example"),
    ]


async def test_a_user_whose_services_hang_costs_the_store_little(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        await install(store, "mallory", f"hanging {number}")
    await notify(store, "mallory", *(f"n{number}" for number in range(10)))
    put_off, settle = 0, store.outbox.settle

    async def counted(settlements: Sequence[Settlement]) -> None:
        nonlocal put_off
        put_off += len(settlements)
        await settle(settlements)

    monkeypatch.setattr(store.outbox, "settle", counted)
    gateway = ScriptedGateway(script=lambda push: None)
    gateway.circuits = lambda device: device.device_id
    await dispatch(gateway, timeout=1_000)
    await passes(clock, 120, step=0.1)
    assert put_off < 500 * 10, "each waits longer and longer"
