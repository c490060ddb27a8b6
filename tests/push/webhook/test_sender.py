"""The sender: every event until it is taken, under one id; one at a time while there is trouble."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from pns.contracts.receiver import Letter, Reply, Taking
from pns.contracts.store import Store
from pns.model.push import PushState
from pns.model.timestamp import SECOND
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from tests.push.conftest import passes, settled
from tests.push.webhook.conftest import TAKEN, ScriptedReceiver, Send, notify, told

AGAIN = Reply(Taking.AGAIN, "500 Internal Server Error")


async def test_what_is_unseen_for_the_time_is_told_once(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver()
    await send(receiver)
    await notify(store, "ann", "a", "b")
    await notify(store, "bob", "c")
    await passes(clock, 899, step=29)
    assert receiver.asked == []
    await passes(clock, 3)
    assert sorted(map(told, receiver.taken)) == [("ann", ["a", "b"]), ("bob", ["c"])]
    await passes(clock, 7200, step=60)
    assert len(receiver.asked) == 2


async def test_each_attempt_has_the_id_of_the_first(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver(lambda letter: AGAIN)
    await send(receiver)
    await notify(store, "ann", "a", "b")
    await passes(clock, 903, step=3)
    await store.mark_seen("ann", ["a"])
    await passes(clock, 30)
    receiver.script = lambda letter: TAKEN
    await passes(clock, 900, step=5)
    unseen = [letter for letter in receiver.asked if letter.kind == "unseen"]
    assert len(unseen) > 3
    assert len({letter.webhook_id for letter in unseen}) == 1
    assert len({letter.body.timestamp for letter in unseen}) == 1
    assert [told(letter)[1] for letter in (unseen[0], unseen[-1])] == [["a", "b"], ["b"]]
    times = [letter.now for letter in unseen]
    assert times == sorted(times), "each attempt says when it is made"


async def test_nothing_left_is_no_attempt(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver(lambda letter: AGAIN)
    await send(receiver)
    await notify(store, "ann", "a")
    await passes(clock, 901, step=1)
    asked = len(receiver.asked)
    assert asked > 0
    await store.withdraw("ann", "a")
    await passes(clock, 900, step=5)
    assert len(receiver.asked) == asked


@pytest.mark.parametrize("seconds", [120.0, 3600.0])
async def test_the_application_says_when(store: Store, send: Send, clock: FakeClock, seconds: float) -> None:
    receiver = ScriptedReceiver(lambda letter: Reply(Taking.AGAIN, "429 Too Many Requests", seconds))
    await send(receiver)
    await notify(store, "ann", "a")
    await passes(clock, 901)
    assert len(receiver.asked) == 1
    await passes(clock, seconds - 5, step=60)
    assert len(receiver.asked) == 1
    await passes(clock, seconds / 10 + 70, step=60)
    assert len(receiver.asked) == 2


async def test_an_application_that_hangs_holds_nothing_up_for_ever(
    store: Store, send: Send, clock: FakeClock
) -> None:
    receiver = ScriptedReceiver(lambda letter: None if told(letter)[0] == "ann" else TAKEN)
    await send(receiver, timeout=0.05)
    await notify(store, "ann", "a")
    await notify(store, "bob", "b")
    await passes(clock, 901)
    async with asyncio.timeout(20):
        while not (await store.webhooks.backlog())[0].reason:
            await asyncio.sleep(0.01)
            clock.advance(0.5)
            await settled(clock)
    assert [told(letter) for letter in receiver.taken] == [("bob", ["b"])]
    (left,) = await store.webhooks.backlog()
    assert (left.state, left.reason) == (PushState.RETRY, "no answer within 0.05 s")


async def test_410_turns_it_off_until_the_next_start(
    store: Store, send: Send, clock: FakeClock, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = ScriptedReceiver(lambda letter: Reply(Taking.GONE, "410 Gone"))
    sender = await send(receiver)
    for user_id in ("ann", "bob", "cy"):
        await notify(store, user_id, "a")
    await passes(clock, 901)
    asked = len(receiver.asked)
    assert 1 <= asked <= 3
    receiver.script = lambda letter: TAKEN
    await passes(clock, 7200, step=60)
    assert len(receiver.asked) == asked
    assert sender.off.startswith("the application answered 410 Gone")
    assert caplog.text.count("webhooks are off") == 1
    assert metrics.registry.get_sample_value("pns_webhook_off") == 1
    await sender.stop()
    await send(receiver)
    await passes(clock, 3)
    assert sorted(told(letter)[0] for letter in receiver.taken) == ["ann", "bob", "cy"], "nothing is lost"


async def test_an_application_in_trouble_is_asked_by_one_at_a_time(
    store: Store, send: Send, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = ScriptedReceiver(lambda letter: AGAIN)
    await send(receiver)
    for number in range(60):
        await notify(store, f"user-{number}", "a")
    await passes(clock, 901)
    early = len(receiver.asked)
    assert early < 30
    await passes(clock, 60)
    assert len(receiver.asked) - early < 10
    assert "webhooks wait: 500 Internal Server Error" in caplog.text
    receiver.script = lambda letter: TAKEN
    await passes(clock, 1500, step=5)
    assert len({told(letter)[0] for letter in receiver.taken}) == 60
    assert Counter(letter.webhook_id for letter in receiver.taken).most_common(1)[0][1] == 1
    assert "webhooks flow again" in caplog.text


async def test_a_receiver_that_fails_is_asked_again(
    store: Store, send: Send, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(letter: Letter) -> Reply:
        raise RuntimeError("hush")

    receiver = ScriptedReceiver(broken)
    await send(receiver)
    await notify(store, "ann", "a")
    await passes(clock, 901)
    assert "a webhook failed" in caplog.text
    receiver.script = lambda letter: TAKEN
    await passes(clock, 30)
    assert len(receiver.taken) == 1


async def test_after_three_days_it_has_failed(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver(lambda letter: AGAIN)
    await send(receiver)
    await notify(store, "ann", "a")
    await passes(clock, 901)
    await passes(clock, 4 * 86_400, step=600)
    (failed,) = await store.webhooks.backlog()
    assert (failed.state, failed.reason) == (PushState.FAILED, AGAIN.reason)
    last = receiver.asked[-1].now - receiver.asked[0].now
    assert 2.9 * 86_400 * SECOND < last <= 3 * 86_400 * SECOND


async def test_what_is_under_way_when_a_node_stops_is_sent_by_the_next(
    store: Store, send: Send, clock: FakeClock
) -> None:
    hanging = ScriptedReceiver(lambda letter: None)
    sender = await send(hanging)
    await notify(store, "ann", "a")
    await passes(clock, 901)
    assert len(hanging.asked) == 1
    await sender.stop()
    receiver = ScriptedReceiver()
    await send(receiver)
    await passes(clock, 25)
    assert [letter.webhook_id for letter in receiver.taken] == [hanging.asked[0].webhook_id]


async def test_two_nodes_send_one(store: Store, send: Send, clock: FakeClock) -> None:
    receiver = ScriptedReceiver()
    await send(receiver)
    await send(receiver)
    for number in range(20):
        await notify(store, f"user-{number}", "a")
    await passes(clock, 905)
    await passes(clock, 7200, step=60)
    assert sorted(told(letter)[0] for letter in receiver.asked) == sorted(f"user-{n}" for n in range(20))
