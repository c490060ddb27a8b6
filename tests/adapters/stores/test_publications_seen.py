"""Broadcasts to whoever was connected lately: by the last connection before the publication, to the day."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pns.contracts.audiences import EVERYBODY, Publication, Stretch
from pns.contracts.store import Store, Visitor
from pns.model.notification import Notification
from pns.model.timestamp import DAY
from pns.testing.clock import FakeClock

from .conftest import append, count
from .pushing import LEASE, START

HOUR = DAY // 24
Raw = Callable[[str], list[str]]


async def connected(store: Store, clock: FakeClock, *users: str) -> None:
    await store.renew_lease("n", clock.now() + HOUR, [], visitors=[Visitor(user, 0) for user in users])


def last(raw: Raw, user: str) -> list[int | None]:
    (row,) = raw(f"SELECT last_connected_at, connected_before FROM users WHERE user_id = '{user}'")
    return [int(each) if each else None for each in row.split("|")]


async def publish(store: Store, clock: FakeClock, id: str = "p", *, days: int | None = 90) -> Publication:
    now = clock.now()
    wanted = Publication(
        publication_id=id,
        audience=EVERYBODY,
        notifications=(Notification("x", notification_id=id),),
        create_date=now,
        seen_since=None if days is None else (now // DAY - days) * DAY,
    )
    return await store.audiences.publish(wanted)


async def spread(store: Store, publication: Publication, *, limit: int = 100) -> list[str]:
    """Take its steps; returns the users in the order in which they were reached."""
    reached: list[str] = []
    stretch = Stretch((), 0, complete=False)
    while not stretch.complete:
        stretch = await store.audiences.seen_users(publication, limit=limit)
        step = await store.audiences.reach(
            publication, stretch.users, complete=stretch.complete, end=stretch.end
        )
        assert step is not None
        reached += [user.user_id for user in stretch.users]
        publication = replace(publication, after=stretch.end)
    return reached


async def test_a_connection_is_noted_once_a_day(
    store: Store, other: Store, raw: Raw, clock: FakeClock
) -> None:
    await append(store, "ann", "x")
    (migrated, _), first = last(raw, "ann"), clock.now()
    assert migrated is not None
    assert migrated % DAY == 0
    assert migrated < START
    await connected(store, clock, "ann", "bob")
    assert last(raw, "ann") == last(raw, "bob") == [first, migrated]
    clock.jump(1)
    await connected(other, clock, "ann")
    assert last(raw, "ann") == [first, migrated]
    clock.jump(DAY / 1e6)
    await connected(other, clock, "ann")
    assert last(raw, "ann") == [clock.now(), first]
    clock.jump(-2 * DAY / 1e6)
    await connected(store, clock, "ann")
    assert last(raw, "ann")[1] == first, "a clock that steps back notes nothing"


@pytest.mark.parametrize("limit", [1, 100])
async def test_whoever_was_away_longer_is_left_out(store: Store, clock: FakeClock, limit: int) -> None:
    """To the day: 3 days before is within 3 days, at whatever time of that day."""
    day = START // DAY * DAY
    for days in (5, 4, 3, 2, 0):
        clock.jump((day - days * DAY + HOUR - clock.now()) / 1e6)
        await connected(store, clock, f"{days} days")
    clock.jump(20 * 3600)
    publication = await publish(store, clock, days=3)
    assert await spread(store, publication, limit=limit) == ["3 days", "2 days", "0 days"]
    kept = await store.audiences.publication("p")
    assert kept is not None
    assert (kept.reached, kept.end_date) == (3, clock.now())
    assert [await count(store, f"{days} days") for days in (5, 4, 3, 2, 0)] == [0, 0, 1, 1, 1]


async def test_who_comes_while_it_spreads_is_judged_by_the_time_before(
    store: Store, clock: FakeClock
) -> None:
    await connected(store, clock, "away", "lately")
    clock.jump(100 * DAY / 1e6)
    await connected(store, clock, "lately")
    clock.jump(3 * DAY / 1e6)
    publication = await publish(store, clock)
    clock.jump(1)
    await connected(store, clock, "away", "lately")
    assert await spread(store, publication) == ["lately"]
    clock.jump(1)
    assert await spread(store, await publish(store, clock, "q")) == ["away", "lately"]


async def test_a_look_is_bounded(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pns.adapters.stores.publications.USERS_LOOKED_AT", 4)
    await connected(store, clock, *(f"away {number}" for number in range(9)))
    clock.jump(100 * DAY / 1e6)
    await connected(store, clock, "here")
    publication = await publish(store, clock)
    looks: list[Stretch] = []
    while not looks or not looks[-1].complete:
        publication = replace(publication, after=looks[-1].end if looks else 0)
        looks.append(await store.audiences.seen_users(publication, limit=2))
    assert [len(look.users) for look in looks] == [0, 0, 1]
    assert await spread(store, await publish(store, clock, "q")) == ["here"]


async def test_broadcasts_follow_each_other_with_a_condition_or_without(
    store: Store, other: Store, raw: Raw, clock: FakeClock
) -> None:
    """For code of schema 4 one with a condition has ended: such a node would reach everybody."""
    await connected(store, clock, "ann")
    for id, days in (("1", None), ("2", 90), ("3", None), ("4", 90)):
        await publish(store, clock, id, days=days)
        clock.jump(1e-6)
    assert raw("SELECT publication_id FROM publications WHERE end_date IS NULL ORDER BY 1") == ["1", "3"]

    async def due(s: Store) -> list[str | None]:
        found = [
            await s.audiences.due_publication(clock.now() + LEASE),
            await s.audiences.due_seen(clock.now() + LEASE),
        ]
        return [None if each is None else each.publication_id for each in found]

    for id, expected in (("1", ["1", None]), ("2", [None, "2"]), ("3", ["3", None]), ("4", [None, "4"])):
        assert await due(store) == expected
        assert await due(other) == [None, None], "it is leased"
        kept = await store.audiences.publication(id)
        assert kept is not None
        assert kept.end_date is None
        users = await store.audiences.subscribers(EVERYBODY, after=0, limit=9)
        assert await store.audiences.reach(kept, users, complete=True) is not None
        assert await other.audiences.reach(kept, users, complete=True) is None
    assert await count(store, "ann") == 4
    assert await store.audiences.prune_publications(ended_before=clock.now() + 1, limit=9) == 4


async def test_one_with_a_condition_is_taken_back(store: Store, clock: FakeClock) -> None:
    await connected(store, clock, "ann", "bob")
    publication = await publish(store, clock)
    stretch = await store.audiences.seen_users(publication, limit=1)
    assert (
        await store.audiences.reach(publication, stretch.users, complete=False, end=stretch.end) is not None
    )
    assert await store.audiences.prune_publications(ended_before=clock.now() + 1, limit=9) == 0
    taken = await store.audiences.take_back("p")
    assert taken is not None
    assert (taken.end_date, taken.taken_back) == (None, 0)
    assert await store.audiences.due_seen(clock.now() + LEASE) is None
    later = replace(publication, after=stretch.end)
    rest = await store.audiences.seen_users(later, limit=9)
    assert await store.audiences.reach(later, rest.users, complete=True, end=rest.end) is None
    held = await store.audiences.holders(taken, limit=9)
    step = await store.audiences.take_from(taken, held)
    assert step is not None
    assert step.changed == {"ann"}
    assert [await count(store, user) for user in ("ann", "bob")] == [0, 0]
