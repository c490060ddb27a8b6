"""A caller that leaves in the middle: what its writes changed is told, with no comparison to find it later.

Every publishing method is cancelled at each of its awaits: while it waits, and when the answer is there but
was not taken yet. Nothing here compares: a hint that is lost stays lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

import pns.adapters.stores.postgres.store
import pns.adapters.stores.sqlite.store
from pns.adapters.buses.local import LocalBus
from pns.contracts.audiences import Publication, Subscriber
from pns.contracts.store import State, Store, Submission
from pns.inbox.changes import Changes
from pns.live.fanout import Fanout
from pns.live.hub import Hub
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock
from tests.engine import StubConnection
from tests.harness.leaving import left
from tests.harness.waiting import eventually

from .conftest import append

NAMES = tuple(f"{number}" for number in range(7))
HOUR = 3600


class Named:
    """Stands for the dismissals: which users it was told of."""

    def __init__(self) -> None:
        self.users: set[str] = set()

    def seen(self, user_id: str) -> None:
        self.users.add(user_id)


class Stage:
    """What a node publishes and tells with, and nothing of it that acts by itself."""

    def __init__(self, store: Store, clock: FakeClock, metrics: Metrics) -> None:
        self.store = store
        self.clock = clock
        self.hub = Hub()
        self.named = Named()
        self.bus = LocalBus(None, clock=clock, metrics=metrics)
        self.fanout = Fanout(self.hub, store, clock=clock, metrics=metrics)
        self.changes = Changes(store, self.bus, metrics, on_seen=self.named.seen)

    async def user(self, user_id: str) -> StubConnection:
        """A user with unseen notifications, and an open page that knows how many."""
        moment = datetime.fromtimestamp(self.clock.now() / 1_000_000 + HOUR, UTC)
        await append(
            self.store,
            user_id,
            *(Notification(name, notification_id=name, expire_date=moment) for name in NAMES),
        )
        page = StubConnection(user_id)
        page.told.append(await self.state(user_id))
        self.hub.attach(page.connection)
        return page

    async def state(self, user_id: str) -> State:
        return (await self.store.states([user_id]))[user_id]

    async def settled(self) -> None:
        """Return when all that was asked of the store before is on disk, or was refused."""
        await append(self.store, "somebody else", "a write behind all others")


@pytest.fixture
async def stage(
    store: Store, clock: FakeClock, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    for engine in (pns.adapters.stores.sqlite.store, pns.adapters.stores.postgres.store):
        monkeypatch.setattr(engine, "MARKED_AT_ONCE", 2)
        monkeypatch.setattr(engine, "REMOVED_AT_ONCE", 2)
    stage = Stage(store, clock, metrics)
    await stage.bus.start(stage.fanout.changed)
    stage.fanout.start()
    yield stage
    await stage.fanout.stop()
    await stage.bus.stop()


def call(stage: Stage, verb: str, state: State, user_id: str) -> Coroutine[Any, Any, object]:
    changes = stage.changes
    match verb:
        case "notify":
            return changes.notify([Submission(user_id, (Notification("one more"),))])
        case "mark_sent_seen":
            return changes.mark_sent_seen(user_id, state.user_key, [1, 2, 3])
        case "mark_seen":
            return changes.mark_seen(user_id, NAMES[:3])
        case "mark_seen_up_to":
            return changes.mark_seen_up_to(user_id, NAMES[5])
        case "mark_all_seen":
            return changes.mark_all_seen(user_id)
        case "withdraw":
            return changes.withdraw(user_id, NAMES[0])
        case "revoke":
            return changes.revoke(user_id, "phone")
        case "erase":
            return changes.erase(user_id)
        case "reach":
            return reach(stage, Subscriber(state.user_key, user_id))
    stage.clock.advance(2 * HOUR)
    return changes.expire(100)


async def reach(stage: Stage, user: Subscriber) -> None:
    issue = Publication(
        publication_id=user.user_id,
        audience="topic/news",
        notifications=(Notification("issue 7", notification_id="issue-7"),),
        create_date=stage.clock.now(),
    )
    await stage.changes.reach(await stage.changes.publish(issue), [user], complete=True)


MARKING = ("mark_sent_seen", "mark_seen", "mark_seen_up_to", "mark_all_seen", "withdraw")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("verb", [*MARKING, "notify", "reach", "revoke", "erase", "expire"])
async def test_what_a_caller_that_left_had_changed_is_told(stage: Stage, verb: str, late: bool) -> None:
    changed = 0
    for number in count(1):
        user_id = f"user {number}"
        page = await stage.user(user_id)
        before = await stage.state(user_id)
        in_time = await left(call(stage, verb, before, user_id), number, late=late)
        await stage.settled()
        after = await stage.state(user_id)
        changed += in_time and after != before
        await eventually(lambda page=page, after=after: page.told[-1] == after)  # type: ignore[misc]
        assert verb not in MARKING or (user_id in stage.named.users) == (after != before)
        if not in_time:
            break
    assert changed, "a caller that left had changed something"


async def test_what_a_caller_that_left_had_stored_is_counted(stage: Stage, metrics: Metrics) -> None:
    for late in (True, False):
        assert await left(call(stage, "notify", State(), "42"), 1, late=late)
    await stage.settled()
    assert (await stage.state("42")).unseen == 2
    value = metrics.registry.get_sample_value
    assert value("pns_notifications_stored_total") == 2
    assert value("pns_notifies_total", {"outcome": "created"}) == 2


async def test_an_erasure_whose_caller_left_is_finished_by_pruning(
    stage: Stage, raw: Callable[[str], list[str]]
) -> None:
    page = await stage.user("42")
    assert await left(stage.changes.erase("42"), 1, late=True)
    await eventually(lambda: page.told[-1].user_key == 0)
    assert raw("SELECT count(*) FROM notifications") != ["0"], "in small commits, and the caller left"
    while await stage.store.prune(seen_before=None, limit=100):
        pass
    assert raw("SELECT count(*) FROM notifications; SELECT count(*) FROM erased") == ["0", "0"]
