"""Two nodes at work on the same users at the same time: nothing is counted twice, lost or left locked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Presence, Store
from pns.errors import UnknownNotification
from pns.model.notification import Notification
from pns.testing.clock import FakeClock

from .conftest import PLENTY, append, cursor, submission

USERS = [f"user {number}" for number in range(6)]


pytestmark = pytest.mark.usefixtures("without_deadlock")


async def test_appends_to_the_same_users_are_in_each_others_way_for_a_moment_only(
    store: Store, other: Store
) -> None:
    """Requests to many users, named in any order, half of them new: no deadlock, no gap, no twin."""
    chance = random.Random(1)

    async def write(s: Store, writer: int) -> None:
        for serial in range(15):
            users = [*chance.sample(USERS, 4), f"of {serial}"]
            chance.shuffle(users)
            notification = Notification("x", notification_id=f"{writer}-{serial}" if serial % 2 else None)
            await s.append([submission(user, notification) for user in users])

    async with asyncio.timeout(60):
        await asyncio.gather(*(write([store, other][writer % 2], writer) for writer in range(8)))
    total = 0
    for user_id in [*USERS, *(f"of {serial}" for serial in range(15))]:
        page = await store.inbox(user_id, cursor(limit=10_000))
        assert [item.seq for item in page.items] == list(range(1, len(page.items) + 1))
        assert (await other.states([user_id]))[user_id].unseen == len(page.items)
        total += len(page.items)
    assert total == 8 * 15 * 5


@pytest.mark.parametrize("seed", range(3))
async def test_everything_at_once(store: Store, other: Store, clock: FakeClock, seed: int) -> None:
    chance = random.Random(seed)

    def soon() -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now() + 1_000_000)

    async def mark_sent(s: Store, user: str) -> None:
        page = await s.unseen(user, limit=3, max_bytes=PLENTY)
        await s.mark_sent_seen(page.user_key, [item.seq for item in page.items])

    async def mark_up_to(s: Store, user: str) -> None:
        page = await s.inbox(user, cursor(limit=2))
        for item in page.items:
            await s.mark_seen_up_to(user, item.notification_id)

    async def expire(s: Store, user: str) -> None:
        clock.advance(1)
        await s.expire(5)

    calls: list[Callable[[Store, str], Awaitable[object]]] = [
        lambda s, user: append(s, user, "a", "b"),
        lambda s, user: s.append([submission(each, "c") for each in chance.sample(USERS, 3)]),
        lambda s, user: append(
            s, user, Notification("k", collapse_key="k"), Notification("l", collapse_key="l")
        ),
        lambda s, user: append(s, user, Notification("same", notification_id=chance.choice("abc"))),
        lambda s, user: append(s, user, Notification("soon", expire_date=soon())),
        lambda s, user: s.withdraw(user, chance.choice("abc")),
        lambda s, user: s.mark_seen(user, ["a", "b"]),
        lambda s, user: s.mark_all_seen(user),
        lambda s, user: s.erase(user),
        lambda s, user: s.revoke(user, chance.choice(["", "phone"])),
        lambda s, user: s.prune(seen_before=clock.now() + 1, limit=7),
        lambda s, user: s.renew_lease(f"node {id(s)}", clock.now() - 1, [Presence(user, "phone", 1, 1)]),
        lambda s, user: s.states(USERS),
        mark_sent,
        mark_up_to,
        expire,
    ]

    async def work(s: Store) -> None:
        for _ in range(25):
            with suppress(UnknownNotification):  # somebody else removed it
                await chance.choice(calls)(s, chance.choice(USERS))

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(s) for s in (store, other) * 5))
    for user_id, state in (await store.states(USERS)).items():
        page = await other.inbox(user_id, cursor(limit=10_000))
        clock.jump(-10_000)  # what has expired and is still there is counted, too
        everything = await other.inbox(user_id, cursor(limit=10_000))
        clock.jump(10_000)
        assert sum(item.seen_date is None for item in everything.items) == state.unseen
        seqs = [item.seq for item in page.items]
        assert seqs == sorted(set(seqs))


async def test_revocations_are_visible_in_the_order_of_their_numbers(store: Store, other: Store) -> None:
    """Who has read a number has seen all below it: a login answer is judged by that."""
    numbers: list[int] = []
    done = False

    async def revoke(s: Store, writer: int) -> None:
        for serial in range(20):
            numbers.append(await s.revoke(f"user {writer}-{serial}"))

    async def watch(s: Store) -> None:
        users = [f"user {writer}-{serial}" for writer in range(6) for serial in range(20)]
        while not done:
            newest = await s.newest_revocation()
            states = await s.states(users)
            visible = {number for state in states.values() for number in state.revocations.values()}
            assert set(range(1, newest + 1)) <= visible

    watching = asyncio.create_task(watch(other))
    await asyncio.gather(*(revoke([store, other][writer % 2], writer) for writer in range(6)))
    done = True
    await watching
    assert sorted(numbers) == list(range(1, 121))
    assert await store.newest_revocation() == 120
