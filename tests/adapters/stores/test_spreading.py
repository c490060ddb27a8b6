"""Spreading on either engine: a bounded step at a time, whatever the store needs for it and users hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from pns.adapters.buses.local import LocalBus
from pns.adapters.stores.copies import ALONE_ROWS
from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.adapters.stores.postgres.store import PostgresStore
from pns.contracts.audiences import Publication
from pns.contracts.store import Store, Submission
from pns.inbox.changes import Changes
from pns.inbox.spreader import COPY_ROWS, Spreader
from pns.model.notification import Notification
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.testing import FakeClock
from tests.harness.proxy import FaultProxy
from tests.harness.waiting import eventually

from .announcing import OLDER, Raw, announce, connect, kept, rows
from .conftest import append, count, inbox, unseen
from .pushing import phone

LARGE, SMALL = "topic/large", "topic/small"
USERS = [f"user {number}" for number in range(60)]
NOTIFICATIONS = tuple(Notification(f"all {n}", notification_id=f"n{n}") for n in range(30))

Held = Callable[[bool], Awaitable[None]]
"""What happens before a write of the store goes on; it is told whether that one has notifications in it."""


class Signals(LocalBus):
    """A bus that only remembers who was signalled."""

    def __init__(self) -> None:
        self.users: list[str] = []

    def signal(self, user_ids: Iterable[str]) -> None:
        self.users.extend(user_ids)


def spreader(store: Store, clock: Any, bus: Signals | None = None) -> Spreader:
    return Spreader(store, Changes(store, bus or Signals(), Metrics()), clock)


def before_each_write(store: Any, monkeypatch: pytest.MonkeyPatch, held: Held) -> None:
    """Await `held` before every write that the store makes."""
    write = store._commits.write

    async def writing(request: object, *, size: int, **more: Any) -> object:
        await held(size > SMALL_WRITE)
        return await write(request, size=size, **more)

    monkeypatch.setattr(store._commits, "write", writing)


async def spread(spreader: Spreader, clock: FakeClock) -> None:
    """One tick, with time passing where it pauses."""
    task = asyncio.create_task(spreader.tick())
    async with asyncio.timeout(60):
        while not task.done():
            if clock.sleepers:
                clock.advance(0.01)
            await asyncio.sleep(0)
    task.result()


async def subscribe(store: Store, audience: str, *users: str) -> None:
    await store.audiences.make(audience)
    await asyncio.gather(*(store.audiences.subscribe(audience, user, make=False) for user in users))


async def publish(
    store: Store,
    id: str,
    audience: str,
    notifications: tuple[Notification, ...] | None = None,
    *,
    create_date: int = 1,
) -> None:
    some = notifications or (Notification(id, notification_id=id),)
    await store.audiences.publish(
        Publication(publication_id=id, audience=audience, notifications=some, create_date=create_date)
    )


async def reached(store: Store, id: str) -> int:
    found = await store.audiences.publication(id)
    assert found is not None
    return found.reached


async def take(store: Store, users: Iterable[str], *ids: str) -> None:
    """These ids stand for other data of each user from now on."""
    mine = tuple(Notification(f"mine {id}", notification_id=id) for id in ids)
    await store.append([Submission(user, mine) for user in users])


async def test_what_all_hold_already_holds_up_no_other_publication(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write of this store takes 50 ms: ten of them are a turn."""
    await subscribe(store, LARGE, *USERS)
    await subscribe(store, SMALL, "somebody")
    await take(store, USERS, "n7")
    await publish(store, "large", LARGE, NOTIFICATIONS)
    writes = 0

    async def slow(stores: bool) -> None:
        nonlocal writes
        writes += 1
        clock.advance(0.05)
        if writes == 2:  # the large one has begun
            await publish(store, "small", SMALL)
        assert writes < 40 or await reached(store, "small"), "the other publication has had no turn"

    before_each_write(store, monkeypatch, slow)
    await spread(spreader(store, clock), clock)
    assert writes < 40
    assert [await reached(store, id) for id in ("large", "small")] == [len(USERS), 1]
    assert [await count(store, user) for user in USERS] == [len(NOTIFICATIONS)] * len(USERS)
    assert await unseen(store, USERS[3]) == ["mine n7", *(f"all {n}" for n in range(30) if n != 7)]


async def test_several_large_publications_go_by_turns(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 0.6 s here, so that each is a turn: a new one comes after one turn of each."""
    larges = [f"large {number}" for number in range(3)]
    many = tuple(Notification("x", notification_id=f"n{n}") for n in range(COPY_ROWS // 20))
    for id in larges:
        await subscribe(store, f"topic/{id}", *USERS)
        await publish(store, id, f"topic/{id}", many)
    await subscribe(store, SMALL, "somebody")
    clock.jump(1)
    rest, turns = store.audiences.rest, list[str]()

    async def rested(publication_id: str, *, lease: int) -> None:
        turns.append(publication_id)
        if len(turns) == 1:
            await publish(store, "small", SMALL, create_date=clock.now())
            clock.jump(1e-6)
        assert await reached(store, "small") == (len(turns) > 3)
        await rest(publication_id, lease=lease)
        clock.jump(1e-6)

    async def slow(stores: bool) -> None:
        if stores:
            clock.advance(0.6)

    monkeypatch.setattr(store.audiences, "rest", rested)
    before_each_write(store, monkeypatch, slow)
    await spread(spreader(store, clock), clock)
    assert [sorted(turns[at : at + 3]) for at in (0, 3)] == [larges] * 2
    assert [await reached(store, id) for id in (*larges, "small")] == [len(USERS)] * 3 + [1]


@pytest.mark.parametrize("held", ["all", "none"])
async def test_a_step_stores_few_rows_however_many_a_publication_has(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Held by all with other data, too: then it is complete, and nobody's count has changed."""
    users, bus, steps = USERS[:8], Signals(), list[int]()
    rows = ALONE_ROWS if held == "all" else COPY_ROWS
    several = tuple(Notification("x", notification_id=f"n{n}") for n in range(rows // 3))
    await subscribe(store, LARGE, *users)
    if held == "all":
        await take(store, users, *(f"n{n}" for n in range(len(several))))
    await publish(store, "large", LARGE, several)
    states, reach = await store.states(users), store.audiences.reach

    async def counted(publication: Publication, some: Any, **more: Any) -> object:
        step = await reach(publication, some, **more)
        assert step is not None
        steps.append(sum(user.user_key <= step.end for user in some))
        return step

    monkeypatch.setattr(store.audiences, "reach", counted)
    await spread(spreader(store, clock, bus), clock)
    assert steps == [3, 3, 2]
    assert await reached(store, "large") == 8
    assert [await count(store, user) for user in users] == [len(several)] * 8
    assert (await store.states(users) == states) is (held == "all")
    assert sorted(bus.users) == ([] if held == "all" else users)


async def test_who_holds_some_of_them_is_told_of_the_others_at_once(store: Store, clock: FakeClock) -> None:
    bus = Signals()
    await subscribe(store, LARGE, *USERS[:3])
    await take(store, USERS[:1], "n0", "n1")
    await take(store, USERS[1:2], "n0")
    await publish(store, "large", LARGE, NOTIFICATIONS[:2])
    await spread(spreader(store, clock, bus), clock)
    assert sorted(bus.users) == USERS[1:3], "once each, and whose inbox is as before not at all"


async def test_a_step_that_outlasts_its_lease_is_not_lost(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes 31 s: the publication goes on nevertheless, and others have their turn."""
    await subscribe(store, LARGE, *USERS)
    await subscribe(store, SMALL, "somebody")
    several = NOTIFICATIONS[:25]
    await publish(store, "large", LARGE, several)
    await publish(store, "small", SMALL)
    steps = 0

    async def slow(stores: bool) -> None:
        nonlocal steps
        if stores:
            steps += 1
            clock.jump(31)
        assert steps < 10, "it begins again and again"

    before_each_write(store, monkeypatch, slow)
    await spread(spreader(store, clock), clock)
    assert [await reached(store, id) for id in ("large", "small")] == [len(USERS), 1]
    assert [await count(store, user) for user in USERS] == [len(several)] * len(USERS)


async def test_a_step_that_another_node_took_meanwhile_is_taken_by_it_alone(
    store: Store, other: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What collapses must not come back over what came after it, nor what was withdrawn."""
    await subscribe(store, LARGE, "ann")
    for id in ("1-old", "2-new"):
        await publish(store, id, LARGE, (Notification(id, notification_id=id, collapse_key="k"),))
    standing, released = asyncio.Event(), asyncio.Event()

    async def stands_still(stores: bool) -> None:
        if stores:
            standing.set()
            await released.wait()

    before_each_write(store, monkeypatch, stands_still)
    sleeper = asyncio.create_task(spreader(store, clock).tick())
    await standing.wait()
    clock.jump(31)
    await spread(spreader(other, clock), clock)
    assert await inbox(store, "ann") == ["2-new"]
    released.set()
    while not sleeper.done():
        clock.advance(0.01)
        await asyncio.sleep(0)
    sleeper.result()
    assert await inbox(store, "ann") == ["2-new"]
    assert [await reached(store, id) for id in ("1-old", "2-new")] == [1, 1]
    assert await count(store, "ann") == 1


async def test_a_library_call_has_its_conflict_as_before(store: Store, clock: FakeClock) -> None:
    """Also in the commit of a step, and for the same user."""
    await subscribe(store, LARGE, "ann", "bob")
    await take(store, ["ann"], "n0")
    await publish(store, "large", LARGE, NOTIFICATIONS[:2])
    users = await store.audiences.subscribers(LARGE, after=0, limit=10)
    publication = await store.audiences.publication("large")
    assert publication is not None
    outcomes = await asyncio.gather(
        append(store, "bob", Notification("before", notification_id="n1")),
        store.audiences.reach(publication, users, complete=True),
        append(store, "ann", Notification("else", notification_id="n0")),
        append(store, "bob", Notification("after", notification_id="n0")),
        return_exceptions=True,
    )
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["Appended", "Reached", "NotificationIdConflict", "NotificationIdConflict"]
    assert await unseen(store, "ann") == ["mine n0", "all 1"]
    assert await unseen(store, "bob") == ["before", "all 0"]


@pytest.mark.parametrize("connected", [0, 3])
async def test_an_announcement_reaches_whoever_should_not_wait(
    store: Store, clock: FakeClock, raw: Raw, connected: int
) -> None:
    """And beside a node that knows no announcements, or that joins later, everybody."""
    bus = Signals()
    await take(store, USERS, "own")
    await connect(store, clock, *USERS[:connected])
    await store.outbox.register(phone(USERS[40]))
    await announce(store, "all", at=clock.now())
    await spread(spreader(store, clock, bus), clock)
    early = [*USERS[:connected], USERS[40]]
    assert [user for user in USERS if len(rows(raw, user)) == 2] == early
    assert sorted(bus.users) == sorted(early)
    done = await kept(store)
    assert (done.reached, done.end_date is None) == (len(early), False)
    raw(OLDER.format(clock.now() + 10**12))
    await spread(spreader(store, clock, bus), clock)
    assert sorted(bus.users) == sorted(USERS), "once each"
    assert [rows(raw, user) for user in USERS] == [["own", "all"]] * len(USERS)
    assert await reached(store, "p") == len(USERS)


async def test_over_a_slow_line_other_publications_are_reached_soon(database: str, metrics: Metrics) -> None:
    """1 ms each way, 200 users, 100 notifications, one of whose ids all of them hold."""
    clock, users = SystemClock(), [f"user {number}" for number in range(200)]
    many = tuple(Notification(f"all {n}", notification_id=f"n{n}") for n in range(100))
    near = PostgresStore(database, clock=clock, metrics=metrics)
    port = int(database.split("@")[-1].split("/")[0].rpartition(":")[2])
    async with FaultProxy(port) as proxy:
        far = PostgresStore(proxy.through(database), clock=clock, metrics=metrics)
        try:
            await near.open()
            await far.open()
            await subscribe(near, LARGE, *users)
            await subscribe(near, SMALL, "somebody")
            await take(near, users, "n50")
            await publish(near, "large", LARGE, many)
            proxy.latency = 0.001
            task = asyncio.create_task(spreader(far, clock).tick())
            await eventually(lambda: reached(near, "large"), within=30)
            await publish(near, "small", SMALL)
            await eventually(lambda: reached(near, "small"), within=30)
            task.cancel()
            await asyncio.wait([task])
        finally:
            await far.close()
            await near.close()
