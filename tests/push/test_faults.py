"""Everything that goes wrong with push services, over many pushes: none is lost, and few are sent twice.

The short variants run 2,000 pushes, those of `make soak` 50,000.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from pns.contracts.gateway import Outcome, Receipt
from pns.contracts.store import Store, Submission
from pns.model.notification import Notification
from pns.model.push import Push, PushState
from pns.testing import FakeClock
from tests.push.conftest import NOW, Dispatch, install, passes, until, waiting
from tests.push.scripted import ACCEPTED, ScriptedGateway

SIZES = [2_000, pytest.param(50_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
USERS = 100
EACH = 4
"""Pushes of a device."""


class Troubled:
    """1 % each of 500, 429 with Retry-After, hangs and dead tokens; what each push has met."""

    def __init__(self, clock: FakeClock, gateway: ScriptedGateway) -> None:
        self._clock = clock
        self._gateway = gateway
        self._random = random.Random(7)
        self.answers: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self.dead: set[str] = set()
        """Devices that were reported."""

    def __call__(self, push: Push) -> Receipt | None:
        drawn = self._random.random()
        answer, receipt = "accepted", ACCEPTED
        if drawn < 0.01:
            answer, receipt = "500", Receipt(Outcome.UNAVAILABLE, "500")
        elif drawn < 0.02:
            answer, receipt = "429", Receipt(Outcome.UNAVAILABLE, "429", retry_after=30)
        elif drawn < 0.03:
            self.answers[push.push_key].append((self._clock.monotonic(), "hung"))
            if self._random.random() < 0.5:  # it had the push, and only the answer is lost
                self._gateway.taken[push.device.device_id, push.notification_id] += 1
            return None
        elif drawn < 0.04:
            answer, receipt = "dead", Receipt(Outcome.DEVICE_INVALID, "410")
            self.dead.add(push.device.device_id)
        self.answers[push.push_key].append((self._clock.monotonic(), answer))
        return receipt


async def enqueue(store: Store, pushes: int) -> None:
    """So many pushes: four notifications for each device of a hundred users."""
    for user in range(USERS):
        for device in range(pushes // USERS // EACH):
            await install(store, f"user {user}", f"device {user}.{device}")
    notifications = tuple(Notification("x", notification_id=f"n{id}") for id in range(EACH))
    for user in range(USERS):
        await store.append([Submission(f"user {user}", notifications)], NOW)


@pytest.mark.parametrize("pushes", SIZES)
async def test_trouble_of_every_kind(pushes: int, store: Store, clock: FakeClock, dispatch: Dispatch) -> None:
    await enqueue(store, pushes)
    gateway = ScriptedGateway()
    troubled = gateway.script = Troubled(clock, gateway)
    await dispatch(gateway, concurrency=200, timeout=0.2)

    async def drained() -> bool:
        return await waiting(store) == 0

    await until(drained, clock, step=2, patience=1700)
    left = Counter(found.state for found in await store.outbox.backlog() for _ in range(found.pushes))
    assert left.total() == pushes
    assert set(left) <= {PushState.ACCEPTED, PushState.CANCELLED, PushState.DEVICE_INVALID}
    met = [answer for answers in troubled.answers.values() for _, answer in answers]
    assert set(met) == {"accepted", "500", "429", "hung", "dead"}, "each kind of trouble was met"

    for push_key, answers in troubled.answers.items():
        said = [answer for _, answer in answers]
        assert said.count("accepted") <= 1, f"{push_key} was sent again after it was accepted"
        assert said[-1] in ("accepted", "dead") or _cancelled(said)
        for (earlier, answer), (later, _) in pairwise(answers):
            assert later - earlier >= (30 if answer == "429" else 2), f"{push_key} came back too soon"
    doubles = {key for key, count in gateway.taken.items() if count > 1}
    hung = sum(1 for answers in troubled.answers.values() if "hung" in [answer for _, answer in answers])
    assert len(doubles) <= hung, "twice only where nobody knew"
    kept = {device.device_id for device in await store.outbox.all_devices("", 100_000)}
    assert len(kept) == pushes // EACH - len(troubled.dead)
    assert not kept & troubled.dead, "dead tokens are gone"


def _cancelled(said: list[str]) -> bool:
    """A push whose device died while it waited is not tried again."""
    return said[-1] in ("500", "429", "hung")


@pytest.mark.parametrize("pushes", SIZES)
async def test_a_service_is_down_for_ten_minutes(
    pushes: int, store: Store, clock: FakeClock, dispatch: Dispatch
) -> None:
    await enqueue(store, pushes)
    down = ScriptedGateway("fcm", script=lambda push: Receipt(Outcome.UNAVAILABLE, "no answer"))
    await dispatch(down)
    await passes(clock, 600, step=2)
    assert len(down.asked) < 150, "it is hardly asked while it is down"
    down.script = lambda push: ACCEPTED

    async def drained() -> bool:
        return await waiting(store) == 0

    await until(drained, clock, step=2, patience=1700)
    assert sum(down.taken.values()) == len(down.taken) == pushes
