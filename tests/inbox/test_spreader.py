"""Spreading a publication: everybody once, whatever is cut off, and never in the way of others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from pns.adapters.buses.local import LocalBus
from pns.contracts.audiences import EVERYBODY, Publication, Subscriber
from pns.contracts.store import Store, Submission
from pns.errors import StoreUnavailable
from pns.inbox.changes import Changes
from pns.inbox.spreader import STEP_USERS, Spreader
from pns.model.notification import Notification
from pns.model.push import Cause, PushControls
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock

TOPIC = "topic/app:news"
LEAST, MOST = STEP_USERS[0], STEP_USERS[-1]
USERS = 2 * MOST + 7


class Signals(LocalBus):
    """A bus that only remembers who was signalled."""

    def __init__(self) -> None:
        self.users: list[str] = []

    def signal(self, user_ids: Iterable[str]) -> None:
        self.users.extend(user_ids)


@pytest.fixture
def bus() -> Signals:
    return Signals()


@pytest.fixture
def changes(store: Store, bus: Signals, metrics: Metrics) -> Changes:
    return Changes(store, bus, metrics)


@pytest.fixture
def spreader(store: Store, changes: Changes, clock: FakeClock) -> Spreader:
    return Spreader(store, changes, clock, copy_users=STEP_USERS)


async def subscribe(store: Store, users: int = USERS) -> None:
    await store.audiences.make(TOPIC)
    async with asyncio.TaskGroup() as tasks:
        for number in range(users):
            tasks.create_task(store.audiences.subscribe(TOPIC, f"user {number}", make=False))


def publication(id: str = "p", audience: str = TOPIC, **more: object) -> Publication:
    notification = Notification("x", notification_id=id)
    return Publication(
        publication_id=id,
        audience=audience,
        create_date=1,
        **{"notifications": (notification,), **more},  # type: ignore[arg-type]
    )


async def spread(spreader: Spreader, clock: FakeClock) -> None:
    """One tick, with time passing where it pauses."""
    task = asyncio.create_task(spreader.tick())
    async with asyncio.timeout(30):
        while not task.done():
            if clock.sleepers:  # not while it waits for the disk: the lease would lapse
                clock.advance(0.01)
            await asyncio.sleep(0)
    task.result()


async def counts(store: Store, users: int = USERS) -> list[int]:
    states = await store.states([f"user {number}" for number in range(users)])
    return [state.unseen for state in states.values()]


async def test_everybody_is_reached_once(
    store: Store, spreader: Spreader, clock: FakeClock, bus: Signals
) -> None:
    await subscribe(store)
    await store.audiences.subscribe("bucket/other", "nobody", make=True)
    await store.audiences.publish(publication())
    await spread(spreader, clock)
    assert await counts(store) == [1] * USERS
    assert (await store.states(["nobody"]))["nobody"].unseen == 0
    assert sorted(bus.users) == sorted(f"user {number}" for number in range(USERS)), "counts go out at once"
    kept = await store.audiences.publication("p")
    assert kept is not None
    assert kept.reached == USERS
    assert kept.end_date is not None
    await spread(spreader, clock)
    assert await counts(store) == [1] * USERS


async def test_everybody_whom_pns_knows(store: Store, spreader: Spreader, clock: FakeClock) -> None:
    await store.append([Submission("notified before", (Notification("y"),))])
    await store.audiences.subscribe(TOPIC, "subscribed before", make=True)
    await store.audiences.publish(publication(audience=EVERYBODY))
    await spread(spreader, clock)
    states = await store.states(["notified before", "subscribed before", "unheard of"])
    assert [state.unseen for state in states.values()] == [2, 1, 0]


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_cut_off_and_repeated(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, step: int, when: str
) -> None:
    """A node dies before a step is recorded, or before it is stored: the next goes on, nobody gets two."""
    await subscribe(store)
    await store.audiences.publish(publication())
    reach, calls = changes.reach, 0

    async def dying(*args: Any, **more: Any) -> object:
        nonlocal calls
        calls += 1
        if calls == step and when == "before":
            raise StoreUnavailable
        reached = await reach(*args, **more)
        if calls == step:
            raise StoreUnavailable
        return reached

    changes.reach = dying  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable):
        await spread(spreader, clock)
    changes.reach = reach  # type: ignore[method-assign]
    await spread(spreader, clock)
    assert (await counts(store)).count(0) > 0 or step > 1 or when == "after", "the lease holds"
    clock.advance(31)
    await spread(spreader, clock)
    assert await counts(store) == [1] * USERS
    assert (await _kept(store, "p")).reached == USERS


async def test_a_large_publication_holds_up_no_other(
    store: Store, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a turn of half a second; a step of this store takes 0.3 s."""
    await subscribe(store, 4 * MOST + 7)
    await store.audiences.subscribe("topic/small", "user 1", make=True)
    await store.audiences.publish(publication())
    ask, rest, turns = store.audiences.subscribers, store.audiences.rest, list[tuple[str, int]]()

    async def slow(audience: str, **more: Any) -> object:
        clock.advance(0.3)
        return await ask(audience, **more)

    async def rested(publication_id: str, **more: Any) -> None:
        if not turns:
            await store.audiences.publish(publication("small", "topic/small"))
        turns.append((publication_id, (await _kept(store, publication_id)).reached))
        small = await store.audiences.publication("small")
        turns.append(("small", 0 if small is None else small.reached))
        await rest(publication_id, **more)

    monkeypatch.setattr(store.audiences, "subscribers", slow)
    monkeypatch.setattr(store.audiences, "rest", rested)
    await spread(spreader, clock)
    assert turns == [("p", 2 * MOST), ("small", 0), ("p", 4 * MOST), ("small", 1)]
    assert (await _kept(store, "p")).reached == 4 * MOST + 7


async def test_a_slow_store_is_given_small_steps(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And larger ones again when it is quick: whoever else notifies waits for one step."""
    await subscribe(store, 10 * MOST)
    await store.audiences.publish(publication())
    reach, steps = changes.reach, list[int]()

    async def timed(publication: Publication, users: list[Subscriber], **more: Any) -> object:
        steps.append(len(users))
        clock.advance(0.001 * len(users) if len(steps) < 15 else 0.001)
        return await reach(publication, users, **more)

    monkeypatch.setattr(changes, "reach", timed)
    await spread(spreader, clock)
    assert steps[0] == MOST
    assert steps[14] == LEAST
    assert max(steps[15:]) == MOST
    assert await counts(store, 10 * MOST) == [1] * (10 * MOST)


async def test_large_notifications_go_out_in_small_steps(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is their data that is large, or what the networks are told."""
    await subscribe(store, 40)
    large = Notification("x" * 60_000, notification_id="p")
    told = Notification("x", notification_id="q", push=PushControls(data={"a": "x" * 16_000}))
    steps: list[int] = []
    reach = changes.reach

    async def counted(publication: Publication, users: list[Subscriber], **more: Any) -> object:
        steps.extend([len(users)] if users else [])  # the end of exactly 40 is a step for nobody
        return await reach(publication, users, **more)

    monkeypatch.setattr(changes, "reach", counted)
    for id, notification in (("p", large), ("q", told)):
        await store.audiences.publish(publication(id, notifications=(notification,)))
        await spread(spreader, clock)
    assert steps == [8] * 5 + [32, 8]


async def test_two_nodes_never_spread_the_same(store: Store, changes: Changes, clock: FakeClock) -> None:
    await subscribe(store, 5)
    for number in range(4):
        await store.audiences.publish(publication(f"p{number}"))
    spreaders = [Spreader(store, changes, clock, copy_users=STEP_USERS) for _ in range(2)]
    await asyncio.gather(*(spread(spreader, clock) for spreader in spreaders))
    assert await counts(store, 5) == [4] * 5
    assert [(await _kept(store, f"p{number}")).reached for number in range(4)] == [5] * 4


async def test_who_has_another_notification_of_this_id_keeps_it(
    store: Store, spreader: Spreader, clock: FakeClock
) -> None:
    await subscribe(store, 5)
    await store.append([Submission("user 3", (Notification("mine", notification_id="p"),))])
    await store.audiences.publish(publication())
    await spread(spreader, clock)
    assert await counts(store, 5) == [1] * 5
    page = await store.unseen("user 3", limit=10, max_bytes=1000)
    assert [item.notification_data for item in page.items] == ["mine"]


async def test_of_several_only_those_whose_ids_are_taken_are_left_out(
    store: Store, spreader: Spreader, clock: FakeClock
) -> None:
    await subscribe(store, 5)
    await store.append([Submission("user 3", (Notification("mine", notification_id="b"),))])
    several = tuple(Notification(f"all {id}", notification_id=id) for id in "abc")
    await store.audiences.publish(publication(notifications=several))
    await spread(spreader, clock)
    assert await counts(store, 5) == [3] * 5
    page = await store.unseen("user 3", limit=10, max_bytes=1000)
    assert sorted(item.notification_data for item in page.items) == ["all a", "all c", "mine"]


async def test_who_comes_back_after_the_lease_changes_nothing_more(
    store: Store, changes: Changes, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node stood still while another went on: what collapses must not be replaced by what was before."""
    await store.audiences.subscribe(TOPIC, "user 0", make=True)
    for id in ("1-old", "2-new"):
        notification = Notification(id, notification_id=id, collapse_key="k")
        await store.audiences.publish(publication(id, notifications=(notification,)))
    ask, standing = store.audiences.subscribers, asyncio.Event()

    async def stands_still(audience: str, **more: Any) -> object:
        found = await ask(audience, **more)
        if not standing.is_set():
            standing.set()
            await released.wait()
        return found

    released = asyncio.Event()
    monkeypatch.setattr(store.audiences, "subscribers", stands_still)
    sleeper = asyncio.create_task(Spreader(store, changes, clock).tick())
    await standing.wait()
    clock.advance(31)
    await spread(Spreader(store, changes, clock), clock)
    released.set()
    await sleeper
    page = await store.unseen("user 0", limit=10, max_bytes=1000)
    assert [item.notification_data for item in page.items] == ["2-new"]
    assert [(await _kept(store, id)).reached for id in ("1-old", "2-new")] == [1, 1]


async def test_who_is_erased_meanwhile_stays_unknown(
    store: Store, changes: Changes, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribe(store, 5)
    await store.audiences.publish(publication(audience=EVERYBODY))
    reach = changes.reach

    async def erased_before(*args: Any, **more: Any) -> object:
        await store.erase("user 2")
        return await reach(*args, **more)

    monkeypatch.setattr(changes, "reach", erased_before)
    await spread(spreader, clock)
    assert await counts(store, 5) == [1, 1, 0, 1, 1]
    known = await store.audiences.subscribers(EVERYBODY, after=0, limit=10)
    assert [user.user_id for user in known] == ["user 0", "user 1", "user 3", "user 4"]


async def test_others_have_their_turn_between_steps(
    store: Store, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While others write, it pauses after each step; while nobody does, it goes on at once."""
    await subscribe(store)
    await store.audiences.publish(publication())
    reach, others = store.audiences.reach, 0

    async def notified(*args: Any, **more: Any) -> object:
        nonlocal others
        for _ in range(2):
            await store.append([Submission("somebody", (Notification("y"),))])
        others += 1
        return await reach(*args, **more)

    monkeypatch.setattr(store.audiences, "reach", notified)
    task = asyncio.create_task(spreader.tick())
    await clock.until_sleeping()
    assert (await counts(store)).count(1) == MOST
    assert (others, task.done()) == (1, False), "it waits while others write"
    monkeypatch.setattr(store.audiences, "reach", reach)
    clock.advance(0.6)
    await task
    assert await counts(store) == [1] * USERS
    assert not clock.sleepers


async def test_no_publication_waits_after_its_last_step(
    store: Store, spreader: Spreader, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while others write: nothing of it is left that could be in their way. Time stands still."""
    await subscribe(store, 5)
    for id in "pqr":
        await store.audiences.publish(publication(id))
    reach = store.audiences.reach

    async def beside_others(*args: Any, **more: Any) -> object:
        for _ in range(2):
            await store.append([Submission("somebody", (Notification("y"),))])
        return await reach(*args, **more)

    monkeypatch.setattr(store.audiences, "reach", beside_others)
    async with asyncio.timeout(30):
        await spreader.tick()
    assert await counts(store, 5) == [3] * 5
    assert not clock.sleepers


async def test_an_erased_user_is_not_reached(store: Store, spreader: Spreader, clock: FakeClock) -> None:
    await subscribe(store, 5)
    await store.erase("user 2")
    await store.audiences.publish(publication(cause=Cause(topic="app:news")))
    await spread(spreader, clock)
    assert await counts(store, 5) == [1, 1, 0, 1, 1]


async def _kept(store: Store, publication_id: str) -> Publication:
    kept = await store.audiences.publication(publication_id)
    assert kept is not None
    return kept
