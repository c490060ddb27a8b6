"""The dispatcher against a real store: what becomes of a push for everything that a gateway may answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from itertools import pairwise

import pytest

import pns.push.dispatcher
from pns.contracts.gateway import Outcome, Receipt
from pns.contracts.outbox import Settlement
from pns.contracts.store import Presence, Store
from pns.model.push import Push, PushSchedule, PushState
from pns.model.timestamp import DAY
from pns.push.dispatcher import MOST_OF_USER
from pns.push.turns import GATHER_SECONDS
from pns.testing import FakeClock
from tests.harness import eventually
from tests.push.conftest import Dispatch, install, notify, passes, settled, states, until, waiting
from tests.push.scripted import ACCEPTED, ScriptedGateway

AWAY = Receipt(Outcome.UNAVAILABLE, "503")


async def test_every_device_of_the_user_gets_its_push(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    for device_id in ("phone", "tablet"):
        await install(store, "42", device_id)
    await install(store, "43", "foreign")
    await notify(store, "42", "n")
    gateway = ScriptedGateway()
    await dispatch(gateway)
    await until(lambda: _is(waiting(store), 0), clock)
    assert gateway.taken == {("phone", "n"): 1, ("tablet", "n"): 1}
    assert await states(store, "42", "n") == [PushState.ACCEPTED] * 2


async def test_nothing_is_sent_before_it_is_due(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n", terms=PushSchedule(10_000_000, DAY))
    gateway = ScriptedGateway()
    await dispatch(gateway)
    await passes(clock, 9)
    assert gateway.asked == []
    await passes(clock, 2)
    assert gateway.taken == {("phone", "n"): 1}


async def test_who_is_connected_is_not_pushed_to(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    for user in ("here", "away"):
        await install(store, user, f"{user}'s phone")
    await store.renew_lease("node", clock.now() + DAY, [Presence("here", "tab", 1, 1)])
    gateway = ScriptedGateway()
    await dispatch(gateway, offline_only=True)
    for user in ("here", "away"):
        await notify(store, user, "n")
    await until(lambda: _is(waiting(store), 0), clock)
    assert gateway.taken == {("away's phone", "n"): 1}
    assert await states(store, "here", "n") == [PushState.CANCELLED]


@pytest.mark.parametrize(
    ("receipt", "state"),
    [
        (ACCEPTED, PushState.ACCEPTED),
        (Receipt(Outcome.FAILED, "too many bytes"), PushState.FAILED),
        (Receipt(Outcome.DEVICE_INVALID, "410"), PushState.DEVICE_INVALID),
        (Receipt(Outcome.RETRY, "busy"), PushState.RETRY),
        (AWAY, PushState.RETRY),
        (Receipt(Outcome.REFUSED, "bad key"), PushState.RETRY),
    ],
)
async def test_an_outcome_is_recorded(
    store: Store, clock: FakeClock, dispatch: Dispatch, receipt: Receipt, state: PushState
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await dispatch(ScriptedGateway(script=lambda push: receipt))
    await passes(clock, 1)
    (push,) = await store.outbox.pushes("42", "n")
    assert (push.state, push.attempts) == (state, 1)
    assert (push.reason or "") == receipt.reason
    assert bool(await store.outbox.devices("42")) == (state is not PushState.DEVICE_INVALID)


async def test_a_dead_device_is_told_in_the_log(
    store: Store, clock: FakeClock, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pns")
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await dispatch(ScriptedGateway(script=lambda push: Receipt(Outcome.DEVICE_INVALID, "410")))
    await passes(clock, 1)
    assert "a device is gone" in caplog.text
    assert "token of phone" not in caplog.text


async def test_retries_come_later_and_later_until_it_is_too_late(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n", terms=PushSchedule(0, 600_000_000))
    times: list[float] = []

    def refuse(push: Push) -> Receipt:
        times.append(clock.monotonic())
        return Receipt(Outcome.RETRY, "busy")

    await dispatch(ScriptedGateway(script=refuse))
    await passes(clock, 620, step=1)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) >= 5
    assert waits == sorted(waits)
    assert await states(store, "42", "n") == [PushState.EXPIRED]


async def test_retry_after_is_obeyed(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    answers = iter([Receipt(Outcome.RETRY, "429", retry_after=120), ACCEPTED])
    gateway = ScriptedGateway(script=lambda push: next(answers))
    await dispatch(gateway)
    await passes(clock, 119)
    assert len(gateway.asked) == 1
    await passes(clock, 15)
    assert gateway.taken == {("phone", "n"): 1}


async def test_every_attempt_has_the_same_push_id_and_badge(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    await store.outbox.set_badge("phone", 5)
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: ACCEPTED if push.attempt == 3 else AWAY)
    await dispatch(gateway)
    await until(lambda: _is(waiting(store), 0), clock)
    assert [push.attempt for push in gateway.asked] == [1, 2, 3]
    assert len({push.push_id for push in gateway.asked}) == 1
    assert {push.badge for push in gateway.asked} == {6}


async def test_a_service_that_fails_is_left_alone_and_found_again(
    store: Store, clock: FakeClock, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: AWAY)
    await dispatch(gateway, concurrency=10)
    await passes(clock, 600, step=1)
    assert len(gateway.asked) < 10 + 20, "a failing service is asked once in a while"
    assert caplog.text.count("pushes wait: 503") == 1
    gateway.script = lambda push: ACCEPTED
    await passes(clock, 1500, step=5)
    assert len(gateway.taken) == 50
    assert set(gateway.taken.values()) == {1}
    assert "pushes flow again" in caplog.text


async def test_what_is_not_worth_sending_any_more_does_not_keep_a_service_from_being_tried(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    """While it was away more expired than a trial takes at once."""
    await install(store, "42", "phone")
    gateway = ScriptedGateway(script=lambda push: AWAY)
    await dispatch(gateway, concurrency=10)
    for number in range(60):
        await notify(store, "42", f"n{number}", terms=PushSchedule(0, 20_000_000))
    await passes(clock, 30)
    for number in range(60, 65):
        await notify(store, "42", f"n{number}")
    gateway.script = lambda push: ACCEPTED
    await passes(clock, 20, step=0.1)
    assert sorted(gateway.taken) == [("phone", f"n{number}") for number in range(60, 65)]


async def test_many_failures_of_one_moment_are_one_trouble(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    for number in range(100):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: AWAY)
    gateway.latency = 50
    await dispatch(gateway, concurrency=100)
    await settled(clock)
    assert len(gateway.asked) == 100
    await eventually(lambda: gateway.busy == 0)
    gateway.script = lambda push: ACCEPTED
    await passes(clock, 8, step=0.1)
    assert len(gateway.taken) == 100


async def test_what_is_refused_before_it_is_sent_says_nothing_of_the_service(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    for number in range(9):
        await notify(store, "42", f"{'large' if number % 2 else 'n'} {number}")
    large = Receipt(Outcome.FAILED, "5000 bytes")
    gateway = ScriptedGateway(script=lambda push: large if "large" in push.notification_id else AWAY)
    await dispatch(gateway, concurrency=1)
    await passes(clock, 1, step=0.1)
    asked = len(gateway.asked)
    await notify(store, "42", "later")
    await passes(clock, 0.5, step=0.1)
    assert len(gateway.asked) == asked == 9, "five failures opened it, whatever came between"


async def test_one_users_hanging_services_do_not_take_all_the_room(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    for number in range(50):
        await install(store, "mallory", f"hanging {number}")
    await notify(store, "mallory", "n", "m", "o")
    gateway = ScriptedGateway(script=lambda push: None if "hanging" in push.device.device_id else ACCEPTED)
    gateway.circuits = lambda device: device.device_id
    await dispatch(gateway, concurrency=20)
    await passes(clock, 0.5, step=0.02)
    assert gateway.busy == MOST_OF_USER
    await install(store, "ann", "phone")
    await notify(store, "ann", "n")
    await passes(clock, 0.5, step=0.02)
    assert gateway.taken == {("phone", "n"): 1}
    (waiting, *_) = [
        push
        for push in await store.outbox.pushes("mallory", "o")
        if push.reason == "waits for other pushes of its user"
    ]
    assert (waiting.state, waiting.attempts) == (PushState.RETRY, 0), "it was not tried"


async def test_who_calls_it_in_a_strange_way_stops_nothing(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await dispatch(ScriptedGateway(script=lambda push: Receipt(Outcome.ACCEPTED, provider_id="a\0b")))
    await passes(clock, 1)
    (push,) = await store.outbox.pushes("42", "n")
    assert (push.state, push.provider_id) == (PushState.ACCEPTED, "a\\x00b")


async def test_one_gateways_trouble_never_slows_another(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    for number in range(20):
        await install(store, "42", f"hanging {number}", "apns")
        await install(store, "42", f"well {number}", "fcm")
    hanging, well = ScriptedGateway("apns", script=lambda push: None), ScriptedGateway("fcm")
    await dispatch(hanging, concurrency=5)
    await dispatch(well)
    await notify(store, "42", "n")
    await passes(clock, 2)
    assert len(well.taken) == 20
    assert len(hanging.asked) == 5


async def test_what_hangs_is_given_up_and_tried_again(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    gateway = ScriptedGateway(script=lambda push: None if push.attempt == 1 else ACCEPTED)
    await dispatch(gateway, timeout=0.05)
    await until(lambda: _is(waiting(store), 0), clock)
    assert [push.attempt for push in gateway.asked] == [1, 2]


async def test_a_fault_of_a_gateway_is_a_retry(
    store: Store, clock: FakeClock, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")

    def fail(push: Push) -> Receipt:
        if push.attempt == 1:
            raise RuntimeError("a fault")
        return ACCEPTED

    gateway = ScriptedGateway(script=fail)
    await dispatch(gateway)
    await until(lambda: _is(waiting(store), 0), clock)
    assert gateway.taken == {("phone", "n"): 1}
    assert "a gateway failed" in caplog.text


async def test_pace_and_room_are_kept(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    for number in range(100):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    gateway = ScriptedGateway()
    gateway.latency = 50
    await dispatch(gateway, rate=10, concurrency=4)
    await passes(clock, 5, step=0.1)
    assert 45 <= len(gateway.asked) <= 52
    assert gateway.most_busy <= 4


async def test_what_is_answered_within_a_moment_shares_a_commit(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    commits: list[int] = []
    settle = store.outbox.settle

    async def counted(settlements: Sequence[Settlement]) -> None:
        commits.append(len(settlements))
        await settle(settlements)

    monkeypatch.setattr(store.outbox, "settle", counted)
    turns = asyncio.Semaphore(0)
    gateway = WaitsForTurns(turns)
    await dispatch(gateway)
    await settled(clock)
    for left in range(19, -1, -1):
        turns.release()
        await settled(clock)
        assert gateway.busy == left
    assert commits == []
    clock.advance(GATHER_SECONDS)
    await until(lambda: _is(waiting(store), 0), clock)
    assert commits == [20]


class WaitsForTurns(ScriptedGateway):
    def __init__(self, turns: asyncio.Semaphore) -> None:
        super().__init__()
        self._turns = turns

    async def push(self, push: Push) -> Receipt:
        self.busy += 1
        await self._turns.acquire()
        self.busy -= 1
        return await super().push(push)


async def test_a_node_that_dies_loses_nothing(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    dying = ScriptedGateway(script=lambda push: None)
    dispatcher = await dispatch(dying)
    await passes(clock, 1)
    assert len(dying.asked) == 1
    await dispatcher.stop()
    heir = ScriptedGateway()
    await dispatch(heir)
    await passes(clock, 30)
    assert heir.asked == [], "the lease holds"
    await passes(clock, 20)
    assert [push.attempt for push in heir.asked] == [2]
    assert heir.asked[0].push_id == dying.asked[0].push_id


async def test_what_is_under_way_at_the_stop_may_end(
    store: Store, clock: FakeClock, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off, each would be sent again at a restart; and nothing new is begun."""
    monkeypatch.setattr(pns.push.dispatcher, "STOP_SECONDS", 3600)  # the test says when each is answered
    for number in range(3):
        await install(store, "42", f"phone {number}")
    await notify(store, "42", "n")
    turns = asyncio.Semaphore(0)
    gateway = WaitsForTurns(turns)
    dispatcher = await dispatch(gateway, concurrency=2)
    await passes(clock, 1)
    assert gateway.busy == 2
    stopping = asyncio.create_task(dispatcher.stop())
    await settled(clock)
    for _ in range(3):
        turns.release()
    await stopping
    assert gateway.taken.total() == 2
    assert sorted(await states(store, "42", "n")) == ["accepted", "accepted", "queued"]


async def test_two_nodes_share_the_work(store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    for number in range(300):
        await install(store, "42", f"phone {number}")
    gateways = [ScriptedGateway(), ScriptedGateway()]
    for gateway in gateways:
        gateway.latency = 20
        await dispatch(gateway, concurrency=10)
    await notify(store, "42", "n")
    await until(lambda: _is(waiting(store), 0), clock)
    assert all(gateway.taken for gateway in gateways)
    assert sum(gateways[0].taken.values()) + sum(gateways[1].taken.values()) == 300
    assert not gateways[0].taken & gateways[1].taken


async def test_what_was_answered_is_settled_at_the_stop(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    gateway = ScriptedGateway()
    dispatcher = await dispatch(gateway)
    clock.advance(1)
    async with asyncio.timeout(60):
        while not gateway.taken:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await dispatcher.stop()
    await settled(clock)
    assert await states(store, "42", "n") == [PushState.ACCEPTED]


async def _is(number: object, wanted: int) -> bool:
    return await number == wanted  # type: ignore[misc]


async def test_a_reason_is_kept_as_people_can_read_it(
    store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await dispatch(ScriptedGateway(script=lambda push: Receipt(Outcome.FAILED, "nul\0 and bell\a")))
    await passes(clock, 1)
    (push,) = await store.outbox.pushes("42", "n")
    assert push.reason is not None
    assert push.reason.isprintable()
