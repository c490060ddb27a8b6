"""Topics, buckets, everybody, and publications on their way to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pns.contracts.audiences import EVERYBODY, Publication, Reached, Subscriber
from pns.contracts.store import Store
from pns.model.notification import Notification
from pns.model.push import Cause, FCMControls, PushControls
from pns.testing.clock import FakeClock

from .conftest import append
from .conftest import count as unseen_count
from .pushing import LEASE, START, phone

TOPIC = "topic/news"
BUCKET = "bucket/orders"
STRANGE = ["never", "", "a\0b", "\0", "'", "é" * 300]


def publication(publication_id: str = "p", audience: str = TOPIC, **more: object) -> Publication:
    notification = Notification("data", notification_id=publication_id)
    fields = {"notifications": (notification,), "create_date": START, **more}
    return Publication(publication_id=publication_id, audience=audience, **fields)  # type: ignore[arg-type]


async def subscribers(store: Store, audience: str, *, limit: int = 100) -> list[str]:
    """All of an audience, read page by page."""
    found: list[str] = []
    after = 0
    while page := await store.audiences.subscribers(audience, after=after, limit=limit):
        assert len(page) <= limit
        assert [s.user_key for s in page] == sorted(s.user_key for s in page)
        found += [subscriber.user_id for subscriber in page]
        after = page[-1].user_key
    return found


async def advance(
    store: Store, after: int, *, id: str = "p", begin: int = 0, reached: int = 1, complete: bool = False
) -> bool:
    """Take a step from `begin` to `after`, for users who are gone by now; returns whether it was taken."""
    users = [Subscriber(after - left, "gone") for left in reversed(range(reached))]
    where = publication(id, after=begin)
    return await store.audiences.reach(where, users, complete=complete) is not None


async def progress(store: Store) -> tuple[int, int, bool]:
    found = await store.audiences.publication("p")
    assert found is not None
    return found.after, found.reached, found.end_date is not None


# ── audiences ─────────────────────────────────────────────────────────────────────────────────────────


async def test_an_audience_is_made_and_removed_once(store: Store, other: Store) -> None:
    assert await store.audiences.exists(TOPIC) is False
    assert [await s.audiences.make(TOPIC) for s in (store, other)] == [True, False]
    assert await other.audiences.exists(TOPIC) is True
    assert await store.audiences.exists(BUCKET) is False
    assert [await s.audiences.remove(TOPIC) for s in (store, other)] == [True, False]
    assert await store.audiences.exists(TOPIC) is False
    assert await store.audiences.make(TOPIC) is True


async def test_subscribing_is_safe_to_repeat(store: Store) -> None:
    audiences = store.audiences
    assert await audiences.subscribe(TOPIC, "ann", make=False) is False
    assert await audiences.subscribed(TOPIC, "ann") is False
    assert (await store.states(["ann"]))["ann"].user_key == 0
    await audiences.make(TOPIC)
    for _ in range(2):
        assert await audiences.subscribe(TOPIC, "ann", make=False) is True
        assert await audiences.subscribed(TOPIC, "ann") is True
    assert await subscribers(store, TOPIC) == ["ann"]
    for _ in range(2):
        await audiences.unsubscribe(TOPIC, "ann")
        assert await audiences.subscribed(TOPIC, "ann") is False
    await audiences.unsubscribe("topic/never", "nobody")
    assert await subscribers(store, TOPIC) == []


async def test_subscribing_makes_the_audience_if_need_be(store: Store) -> None:
    assert await store.audiences.subscribe(BUCKET, "ann", make=True) is True
    assert await store.audiences.make(BUCKET) is False
    assert await store.audiences.subscribe(BUCKET, "bob", make=True) is True
    assert await subscribers(store, BUCKET) == ["ann", "bob"]


async def test_a_user_is_known_from_the_first_subscription_on(store: Store) -> None:
    await store.audiences.subscribe(TOPIC, "ann", make=True)
    state = (await store.states(["ann"]))["ann"]
    assert state.user_key > 0
    assert (state.version, state.unseen) == (0, 0)
    await append(store, "ann", "a")
    assert (await store.states(["ann"]))["ann"][:3] == (state.user_key, 1, 1)
    assert await store.audiences.subscribed(TOPIC, "ann") is True


async def test_subscriptions_are_the_users_own_in_the_order_of_names(store: Store) -> None:
    for name in ("topic/b", "topic/a", "bucket/z", "topic/é", "topic/B"):
        await store.audiences.subscribe(name, "ann", make=True)
    await store.audiences.subscribe("topic/a", "bob", make=False)
    assert await store.audiences.subscriptions("ann") == [
        "bucket/z",
        "topic/B",
        "topic/a",
        "topic/b",
        "topic/é",
    ]
    assert await store.audiences.subscriptions("bob") == ["topic/a"]
    assert await store.audiences.subscriptions("eve") == []


async def test_removing_an_audience_ends_all_its_subscriptions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in ("sqlite", "postgres"):
        monkeypatch.setattr(f"pns.adapters.stores.{engine}.audiences.REMOVED_AT_ONCE", 2)
    for count in range(6):
        for number in range(count):
            await store.audiences.subscribe(TOPIC, f"user {number}", make=True)
        await store.audiences.subscribe(BUCKET, "user 0", make=True)
        assert await store.audiences.remove(TOPIC) is (count > 0)
        assert await subscribers(store, TOPIC) == []
        assert await store.audiences.subscriptions("user 0") == [BUCKET]
        await store.audiences.make(TOPIC)
        assert await subscribers(store, TOPIC) == []
        await store.audiences.remove(TOPIC)


@pytest.mark.usefixtures("without_deadlock")
async def test_whoever_subscribes_while_it_is_removed_is_in_or_out(
    store: Store, other: Store, raw: Callable[[str], list[str]]
) -> None:
    """Nobody is left in an audience that is no more, to turn up in the next of that name."""
    for number in range(12):
        await store.audiences.make(TOPIC)
        await store.audiences.make(BUCKET)
        await asyncio.gather(
            *(
                s.audiences.subscribe(TOPIC, f"{number}-{n}", make=n == 3)
                for n in range(4)
                for s in (store, other)
            ),
            other.audiences.remove(BUCKET),
            store.audiences.remove(TOPIC),
            *(other.audiences.subscribe(BUCKET, f"{number}-{n}", make=False) for n in range(4)),
        )
        orphans = "SELECT count(*) FROM subscriptions WHERE audience NOT IN (SELECT audience FROM audiences)"
        assert raw(orphans) == ["0"]
        await store.audiences.remove(TOPIC)


@pytest.mark.usefixtures("without_deadlock")
async def test_two_nodes_make_and_leave_audiences_crosswise(store: Store, other: Store) -> None:
    names = [f"topic/{number}" for number in range(5)]
    users = [f"user {number}" for number in range(4)]
    for _ in range(5):
        await asyncio.gather(
            *(store.audiences.subscribe(name, user, make=True) for name in names for user in users),
            *(
                other.audiences.subscribe(name, user, make=True)
                for name in names[::-1]
                for user in users[::-1]
            ),
        )
        assert [await subscribers(store, name) for name in names] == [await subscribers(store, names[0])] * 5
        assert sorted(await subscribers(store, names[0])) == users
        await asyncio.gather(
            *(store.audiences.unsubscribe(names[0], user) for user in users),
            *(other.audiences.remove(name) for name in names),
            *(store.audiences.remove(name) for name in names[::-1]),
        )
        assert [await store.audiences.exists(name) for name in names] == [False] * 5


@pytest.mark.parametrize("strange", STRANGE)
async def test_nobody_is_in_what_nobody_made(store: Store, strange: str) -> None:
    await store.audiences.subscribe(TOPIC, "ann", make=True)
    audiences = store.audiences
    assert await audiences.exists(strange) is False
    assert await audiences.remove(strange) is False
    assert await audiences.subscribe(strange, "ann", make=False) is False
    assert await audiences.subscribed(strange, "ann") is False
    assert await audiences.subscribed(TOPIC, strange) is False
    assert await audiences.subscriptions(strange) == []
    assert await audiences.publication(strange) is None
    await audiences.unsubscribe(strange, "ann")
    await audiences.unsubscribe(TOPIC, strange)
    assert await subscribers(store, strange) == []
    assert await subscribers(store, TOPIC) == ["ann"]


# ── subscribers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_subscribers_are_read_in_the_order_of_their_keys(store: Store, limit: int) -> None:
    users = [f"user {(number * 5) % 7}" for number in range(7)]
    for user_id in users:
        await store.audiences.subscribe(TOPIC, user_id, make=True)
    await store.audiences.subscribe(BUCKET, "else", make=True)
    await store.erase(users[2])
    assert await subscribers(store, TOPIC, limit=limit) == [*users[:2], *users[3:]]
    assert await subscribers(store, EVERYBODY, limit=limit) == [*users[:2], *users[3:], "else"]


async def test_everybody_is_every_user_that_the_store_knows(store: Store) -> None:
    assert await subscribers(store, EVERYBODY) == []
    await append(store, "notified", "a")
    await store.outbox.register(phone("installed"))
    await store.audiences.subscribe(TOPIC, "subscribed", make=True)
    await append(store, "erased", "a")
    await store.erase("erased")
    await store.revoke("revoked")
    assert await subscribers(store, EVERYBODY) == ["notified", "installed", "subscribed"]


async def test_who_was_erased_and_comes_back_is_in_nothing(store: Store) -> None:
    await store.audiences.subscribe(TOPIC, "ann", make=True)
    await store.erase("ann")
    assert await store.audiences.subscriptions("ann") == []
    await append(store, "ann", "a")
    assert await store.audiences.subscribed(TOPIC, "ann") is False
    assert await subscribers(store, TOPIC) == []


# ── publications ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_publication_is_kept_as_it_was_published(store: Store, other: Store) -> None:
    controls = PushControls(data={"a": 1}, fcm=FCMControls(priority="high"))
    new = publication(
        notifications=(
            Notification("é", notification_id="a", category="c", collapse_key="k", push=controls),
            Notification("x" * 65_536, notification_id="b"),
        ),
        cause=Cause("EVENT", bucketID="orders", type_="DATA_OBJECT_CREATED", when=5),
    )
    assert await store.audiences.publication("p") is None
    assert await store.audiences.publish(new) == new
    assert await other.audiences.publication("p") == new


async def test_a_publication_that_is_there_already_stays(store: Store, other: Store) -> None:
    first, second = publication(), publication(audience=BUCKET, create_date=START + 9)
    await store.audiences.publish(first)
    await advance(store, 7, complete=True)
    kept = await other.audiences.publish(second)
    assert kept == replace(first, after=7, reached=1, end_date=START)
    assert await store.audiences.publication("p") == kept


async def test_two_nodes_publish_one_id_at_the_same_moment(store: Store, other: Store) -> None:
    for number in range(10):
        kept = await asyncio.gather(
            *(
                s.audiences.publish(publication(f"{number}", create_date=START + n))
                for n, s in enumerate((store, other) * 2)
            )
        )
        assert kept == [kept[0]] * 4
        assert await store.audiences.publication(f"{number}") == kept[0]


async def test_a_publication_is_leased_to_one_node_alone(
    store: Store, other: Store, clock: FakeClock
) -> None:
    assert await store.audiences.due_publication(START + LEASE) is None
    for number in range(6):
        await store.audiences.publish(publication(f"{number}", f"topic/{number}"))
    leases = [s.audiences.due_publication(START + LEASE) for s in (store, other) * 6]
    found = [p.publication_id for p in await asyncio.gather(*leases) if p is not None]
    assert sorted(found) == [str(number) for number in range(6)]
    clock.jump(LEASE / 1e6 - 1e-6)
    assert await store.audiences.due_publication(START + 9 * LEASE) is None
    clock.jump(1e-6)
    again = await other.audiences.due_publication(START + 9 * LEASE)
    assert again is not None


async def test_the_oldest_publication_comes_first(store: Store, clock: FakeClock) -> None:
    clock.jump(9e-6)
    for number in (3, 1, 2):
        await store.audiences.publish(publication(str(number), f"topic/{number}", create_date=START + number))
    found = [await store.audiences.due_publication(START + LEASE) for _ in range(4)]
    assert [p and p.publication_id for p in found] == ["1", "2", "3", None]


async def test_publications_of_an_audience_follow_each_other(
    store: Store, other: Store, clock: FakeClock
) -> None:
    """A later one would otherwise be replaced by one before it, whose node has died."""
    clock.jump(9e-6)
    for id, audience, moment in (("2", "t", 2), ("1b", "t", 1), ("1a", "t", 1), ("3", "u", 3)):
        await store.audiences.publish(publication(id, audience, create_date=START + moment))

    async def next_of(s: Store) -> str | None:
        found = await s.audiences.due_publication(clock.now() + LEASE)
        return None if found is None else found.publication_id

    assert [await next_of(s) for s in (store, other, other)] == ["1a", "3", None]
    clock.jump(LEASE / 1e6)
    assert await next_of(other) == "1a", "its first node has died"
    for id in ("1a", "1b", "2"):
        await advance(store, 1, reached=1, id=id, complete=True)
        following = {"1a": "1b", "1b": "2", "2": "3"}[id]
        assert await next_of(store) == following


async def test_a_step_leaves_the_lease_as_it_is(store: Store, other: Store, clock: FakeClock) -> None:
    await store.audiences.publish(publication())
    await store.audiences.due_publication(START + 20)
    clock.jump(9e-6)
    assert await advance(store, 5, reached=3)
    clock.jump(10e-6)
    assert await other.audiences.due_publication(START + 99) is None
    clock.jump(1e-6)
    found = await other.audiences.due_publication(START + 99)
    assert found is not None
    assert (found.after, found.reached, found.end_date) == (5, 3, None)


async def test_who_rests_ends_its_own_lease_alone(store: Store, other: Store, clock: FakeClock) -> None:
    for number in (1, 2):
        await store.audiences.publish(publication(str(number), f"topic/{number}"))
        clock.jump(1e-6)
    leases = [await store.audiences.due_publication(START + LEASE + number) for number in (1, 2)]
    assert [p and p.publication_id for p in leases] == ["1", "2"]
    for number in (2, 1):
        await store.audiences.rest(str(number), lease=START + LEASE + number)
        clock.jump(1e-6)
    again = [await other.audiences.due_publication(START + 2 * LEASE) for _ in range(3)]
    assert [p and p.publication_id for p in again] == ["2", "1", None], "who rests goes behind who waits"
    await store.audiences.rest("1", lease=START + LEASE + 1)
    assert await store.audiences.due_publication(START + 3 * LEASE) is None
    await store.audiences.rest("never", lease=START)


async def test_a_step_is_taken_once(store: Store, other: Store) -> None:
    """A node whose lease ended while it was at work comes too late; what it says twice counts once."""
    await store.audiences.publish(publication())
    assert await advance(store, 10, reached=4)
    assert not await advance(other, 7, reached=2)
    assert not await advance(store, 10, reached=4)
    assert not await advance(other, 12, reached=5, complete=True)
    assert await progress(store) == (10, 4, False)
    assert await advance(other, 11, begin=10)
    assert not await advance(store, 12, begin=10, reached=2)
    assert await progress(store) == (11, 5, False)


@pytest.mark.usefixtures("without_deadlock")
async def test_of_two_nodes_with_one_step_one_takes_it(store: Store, other: Store) -> None:
    users = [f"user {number}" for number in range(6)]
    for user_id in users:
        await store.audiences.subscribe(TOPIC, user_id, make=True)
    found = await store.audiences.subscribers(TOPIC, after=0, limit=10)
    for number in range(8):
        kept = await store.audiences.publish(publication(f"{number}"))
        steps = [s.audiences.reach(kept, found, complete=False) for s in (store, other) * 3]
        taken = [step for step in await asyncio.gather(*steps) if step is not None]
        assert taken == [Reached(6, frozenset(users), 6, found[-1].user_key, complete=False)]
        assert [await unseen_count(store, user_id) for user_id in users] == [number + 1] * 6


@pytest.mark.parametrize("users", [0, 2])
async def test_a_complete_publication_is_spread_no_more(store: Store, clock: FakeClock, users: int) -> None:
    await store.audiences.publish(publication())
    await advance(store, 10, reached=4)
    clock.jump(5e-6)
    assert await advance(store, 10 + users, begin=10, reached=users, complete=True)
    found = await store.audiences.publication("p")
    assert found is not None
    assert (found.after, found.reached, found.end_date) == (10 + users, 4 + users, START + 5)
    clock.jump(3600)
    assert not await advance(store, 99, begin=10 + users, complete=True)
    await store.audiences.rest("p", lease=START)
    assert await store.audiences.publication("p") == found
    assert await store.audiences.due_publication(START + 2 * 3600 * 10**6) is None
    assert not await advance(store, 1, id="never", complete=True)


@pytest.mark.parametrize("limit", [2, 100])
async def test_complete_publications_are_pruned_in_steps(store: Store, clock: FakeClock, limit: int) -> None:
    for number in range(5):
        await store.audiences.publish(publication(str(number)))
        if number != 2:
            await advance(store, 1, id=str(number), complete=True)
        clock.jump(1e-6)
    prune = store.audiences.prune_publications
    steps = []
    while removed := await prune(ended_before=START + 4, limit=limit):
        steps.append(removed)
    assert steps == ([2, 1] if limit == 2 else [3])
    left = [await store.audiences.publication(str(number)) for number in range(5)]
    assert [p.publication_id for p in left if p] == ["2", "4"]
