"""What becomes of devices that FCM calls another project's: whoever is mistaken, the key or the device."""

from __future__ import annotations

import json

import pytest

from pns.adapters.gateways.fcm.answers import Answer
from pns.adapters.gateways.fcm.gateway import FCM
from pns.adapters.gateways.fcm.message import Message
from pns.contracts.store import Store
from pns.model.push import PushState
from pns.push.dispatcher import Dispatcher
from pns.runtime import http1
from pns.settings import FCMSettings
from pns.testing import FakeClock
from tests.push.conftest import Dispatch, install, notify, passes, states, until, waiting

MISMATCH = {"error": {"status": "PERMISSION_DENIED", "details": [{"errorCode": "SENDER_ID_MISMATCH"}]}}


class Firebase(FCM):
    """The gateway, and a Firebase that says "foreign" tokens are another project's."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(FCMSettings(), clock=clock)
        self.asked = 0

    async def _send(self, body: Message) -> Answer:
        self.asked += 1
        if "foreign" in json.dumps(body):
            return Answer(http1.Answer(403, [], json.dumps(MISMATCH).encode(), cut=False))
        return Answer(http1.Answer(200, [], b'{"name": "projects/shop/messages/1"}', cut=False))


@pytest.fixture
def firebase(clock: FakeClock) -> Firebase:
    return Firebase(clock)


async def foreign(store: Store, count: int) -> None:
    """Users with a foreign phone each, for which there is a push."""
    for number in range(count):
        await install(store, f"user-{number}", f"foreign-{number}")
        await notify(store, f"user-{number}", "n")


async def devices(store: Store) -> int:
    return len(await store.outbox.all_devices("", 1000))


async def _is_accepted(store: Store, user_id: str) -> bool:
    return await states(store, user_id, "n") == [PushState.ACCEPTED]


async def test_a_key_of_another_project_costs_nobody_a_device(
    store: Store,
    clock: FakeClock,
    dispatch: Dispatch,
    firebase: Firebase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await foreign(store, 200)
    await dispatch(firebase)
    await passes(clock, 300)
    assert await devices(store) == await waiting(store) == 200
    assert "pushes wait: 403 SENDER_ID_MISMATCH: is push.fcm.credentials a key of" in caplog.text
    asked = firebase.asked
    await passes(clock, 60)
    assert firebase.asked - asked <= 120, "tried now and then, not all at once"


async def test_the_only_device_is_dead(
    store: Store, clock: FakeClock, dispatch: Dispatch, firebase: Firebase
) -> None:
    """It waits, in a circuit of its own, and nobody waits for it. The next phone proves the key."""
    await foreign(store, 1)
    dispatcher: Dispatcher = await dispatch(firebase)
    await passes(clock, 3600, step=5)
    assert await devices(store) == 1
    assert not dispatcher._circuits.take("").is_open
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await passes(clock, 2)
    assert await _is_accepted(store, "42")
    await passes(clock, 1500, step=5)
    assert await states(store, "user-0", "n") == [PushState.DEVICE_INVALID]
    assert await devices(store) == 1


@pytest.mark.parametrize("concurrency", [10, 100])
async def test_the_first_after_a_start_are_dead(
    store: Store, clock: FakeClock, dispatch: Dispatch, firebase: Firebase, concurrency: int
) -> None:
    """Each waits for itself, and nobody waits for them."""
    await foreign(store, 50)
    dispatcher: Dispatcher = await dispatch(firebase, concurrency=concurrency)
    await passes(clock, 1)
    circuits = dispatcher._circuits
    assert not circuits.take("").failures
    await install(store, "42", "phone")
    await notify(store, "42", "n")
    await passes(clock, 2)
    assert await _is_accepted(store, "42")
    await until(lambda: _is_empty(store), clock, step=5)
    assert await devices(store) == 1


async def _is_empty(store: Store) -> bool:
    return await waiting(store) == 0
