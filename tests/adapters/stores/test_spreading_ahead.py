"""Connected subscribers are reached ahead of their turn, once, whatever becomes of their notification."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import pytest

from pns.adapters.buses.local import LocalBus
from pns.contracts.audiences import Publication
from pns.contracts.store import Store, Submission
from pns.inbox.changes import Changes
from pns.inbox.spreader import Spreader
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock

from .announcing import OLDER, connect
from .conftest import inbox

Raw = Callable[[str], list[str]]

TOPIC = "topic/all"
USERS = [f"user {number:02}" for number in range(60)]
CONNECTED = [USERS[50], USERS[7], USERS[33]]


class Signals(LocalBus):
    """A bus that only remembers who was signalled, signal by signal."""

    def __init__(self) -> None:
        self.steps: list[set[str]] = []

    def signal(self, user_ids: Iterable[str]) -> None:
        self.steps.append({*user_ids})


@pytest.fixture
def bus() -> Signals:
    return Signals()


@pytest.fixture
def spreader(store: Store, bus: Signals, clock: FakeClock) -> Spreader:
    return a_spreader(store, bus, clock)


def a_spreader(store: Store, bus: Signals, clock: FakeClock) -> Spreader:
    return Spreader(store, Changes(store, bus, Metrics()), clock, copy_users=range(5, 21))


@pytest.fixture(autouse=True)
async def subscribed(store: Store, clock: FakeClock) -> None:
    for user in USERS:
        await store.audiences.subscribe(TOPIC, user, make=True)
    await connect(store, clock, *CONNECTED, "nobody of the topic")


async def publish(store: Store, id: str = "p", collapse_key: str | None = None) -> Publication:
    notification = Notification("x", notification_id=id, collapse_key=collapse_key)
    return await store.audiences.publish(
        Publication(publication_id=id, audience=TOPIC, notifications=(notification,), create_date=len(id))
    )


async def spread(spreader: Spreader, clock: FakeClock) -> None:
    task = asyncio.create_task(spreader.tick())
    while not task.done():
        if clock.sleepers:
            clock.advance(0.01)
        await asyncio.sleep(0)
    task.result()


async def kept(store: Store, id: str = "p") -> Publication:
    found = await store.audiences.publication(id)
    assert found is not None
    return found


async def counts(store: Store) -> list[int]:
    states = await store.states(USERS)
    return [states[user].unseen for user in USERS]


async def ahead(store: Store, clock: FakeClock) -> Publication:
    """The connected have it, and nobody else."""
    leased = await store.audiences.due_publication(clock.now() + 30_000_000)
    assert leased is not None
    users = await store.audiences.connected(leased, limit=100)
    assert [user.user_id for user in users] == sorted(CONNECTED)
    reached = await store.audiences.reach(leased, users, complete=False, ahead=True)
    assert reached is not None
    assert (reached.changed, reached.users, reached.end, reached.complete) == ({*CONNECTED}, 3, 0, False)
    return await kept(store)


async def test_they_are_told_first_and_all_once(
    store: Store, spreader: Spreader, bus: Signals, clock: FakeClock
) -> None:
    await publish(store)
    await spread(spreader, clock)
    assert bus.steps[0] == {*CONNECTED}
    assert sorted(user for step in bus.steps for user in step) == USERS
    assert await counts(store) == [1] * len(USERS)
    done = await kept(store)
    assert (done.reached, done.end_date is None, done.ahead) == (len(USERS), False, ())
    await publish(store, "pp")
    await spread(spreader, clock)
    assert (await kept(store, "pp")).reached == len(USERS)
    assert await counts(store) == [2] * len(USERS)


async def test_what_becomes_of_it_meanwhile_is_not_undone(
    store: Store, spreader: Spreader, clock: FakeClock
) -> None:
    """One is withdrawn, one replaced, and one user leaves the topic, before their turn."""
    await publish(store, collapse_key="k")
    halfway = await ahead(store, clock)
    assert (halfway.reached, halfway.end_date, halfway.after) == (3, None, 0)
    gone, replaced, left = sorted(CONNECTED)
    await store.withdraw(gone, "p")
    await store.append([Submission(replaced, (Notification("newer", collapse_key="k"),))])
    await store.audiences.unsubscribe(TOPIC, left)
    clock.advance(31)
    await spread(spreader, clock)
    assert [await inbox(store, user) for user in (gone, replaced, left)] == [[], ["newer"], ["x"]]
    assert (await kept(store)).reached == len(USERS)
    others = [count for user, count in zip(USERS, await counts(store), strict=True) if user not in CONNECTED]
    assert others == [1] * (len(USERS) - 3)


async def test_they_are_remembered_in_the_order_of_reaching(
    store: Store, spreader: Spreader, bus: Signals, clock: FakeClock
) -> None:
    """Also where some of them are looked at alone: no step waits for the end of a lease."""
    await store.append([Submission(CONNECTED[1], (Notification("x", notification_id="p"),))])
    await publish(store)
    begun = clock.now()
    await spread(spreader, clock)
    assert (await kept(store)).reached == len(USERS)
    assert clock.now() - begun < 10_000_000
    assert await counts(store) == [1] * len(USERS)


async def test_of_two_nodes_one_reaches_them(store: Store, other: Store, clock: FakeClock) -> None:
    await publish(store)
    leased = await store.audiences.due_publication(clock.now() + 30_000_000)
    assert leased is not None
    users = await store.audiences.connected(leased, limit=100)
    steps = [s.audiences.reach(leased, users, complete=False, ahead=True) for s in (store, other) * 3]
    assert sum(step is not None for step in await asyncio.gather(*steps)) == 1
    subscribers = await store.audiences.subscribers(TOPIC, after=0, limit=100)
    late = await other.audiences.reach(leased, subscribers, complete=True)
    assert late is None, "it does not know who was reached ahead"
    assert sum(await counts(store)) == 3


async def test_nobody_is_reached_ahead_of_what_was_taken_back(store: Store, clock: FakeClock) -> None:
    await publish(store)
    leased = await store.audiences.due_publication(clock.now() + 30_000_000)
    assert leased is not None
    users = await store.audiences.connected(leased, limit=100)
    await store.audiences.take_back("p")
    assert await store.audiences.reach(leased, users, complete=False, ahead=True) is None
    assert sum(await counts(store)) == 0


async def test_it_is_taken_back_from_them(store: Store, spreader: Spreader, clock: FakeClock) -> None:
    await publish(store)
    await ahead(store, clock)
    await store.audiences.take_back("p")
    clock.advance(31)
    await spread(spreader, clock)
    assert sum(await counts(store)) == 0
    done = await kept(store)
    assert (done.taken_back, done.taken_back_date is None, done.ahead) == (3, False, ())


async def test_beside_a_node_that_knows_nobody_ahead_it_goes_by_the_keys(
    store: Store, spreader: Spreader, bus: Signals, clock: FakeClock, raw: Raw
) -> None:
    raw(OLDER.format(clock.now() + 10**12))
    await publish(store)
    await spread(spreader, clock)
    assert bus.steps[0] != {*CONNECTED}
    assert await counts(store) == [1] * len(USERS)


async def test_such_a_node_leaves_alone_what_was_begun(store: Store, clock: FakeClock, raw: Raw) -> None:
    """For its code the publication is complete; a later one of the topic waits all the same."""
    await publish(store)
    await ahead(store, clock)
    assert raw("SELECT count(*) FROM publications WHERE end_date IS NULL") == ["0"]
    await publish(store, "pp")
    assert await store.audiences.due_publication(clock.now() + 1) is None
    clock.advance(31)
    leased = await store.audiences.due_seen(clock.now() + 30_000_000)
    assert leased is not None
    assert (leased.publication_id, len(leased.ahead)) == ("p", 3)


async def test_many_connections_are_reached_in_bounded_steps(
    store: Store, spreader: Spreader, bus: Signals, clock: FakeClock
) -> None:
    await connect(store, clock, *USERS[:45])
    await publish(store)
    await spread(spreader, clock)
    assert {len(step) <= 20 for step in bus.steps} == {True}
    early = {*USERS[:45], *CONNECTED}
    told: set[str] = set()
    for step in bus.steps:
        told |= step
        if early <= told:
            break
    assert told == early
    assert await counts(store) == [1] * len(USERS)
