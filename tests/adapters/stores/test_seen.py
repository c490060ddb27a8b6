"""Marking as seen, withdrawing, expiring: `seen_date` is set once, and the count follows the rows."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Place, Store
from pns.errors import UnknownNotification
from pns.model.notification import Notification
from pns.testing.clock import FakeClock

from .conftest import append, count, cursor, inbox, named, seen, submission, unseen


async def seen_dates(store: Store, user_id: str) -> list[int | None]:
    return [item.seen_date for item in (await store.inbox(user_id, cursor(limit=10_000))).items]


async def test_what_was_sent_is_marked_by_place(store: Store, clock: FakeClock) -> None:
    await append(store, "42", "a", "b", "c")
    page = await store.unseen("42", limit=2, max_bytes=2**20)
    seqs = [item.seq for item in page.items]
    assert await store.mark_sent_seen(page.user_key, seqs) == 2
    assert await unseen(store, "42") == ["c"]
    assert await count(store, "42") == 1
    assert await seen_dates(store, "42") == [clock.now(), clock.now(), None]


async def test_up_to_a_place_in_the_users_order(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b", "c", "d")
    await named(store, "other", "a", "b")
    await store.mark_seen("42", ["b"])
    assert await store.mark_seen_up_to("42", "c") == 2
    assert await unseen(store, "42") == ["d"]
    assert await count(store, "42") == 1
    assert await store.mark_seen_up_to("42", "c") == 0
    assert await store.mark_seen_up_to("42", "b") == 0
    assert await unseen(store, "other") == ["a", "b"]
    for user, place in (("42", "never was"), ("nobody", "a")):
        with pytest.raises(UnknownNotification):
            await store.mark_seen_up_to(user, place)
    assert await count(store, "42") == 1


async def test_a_place_in_the_users_order(store: Store) -> None:
    await named(store, "42", "a", "b", "c")
    await named(store, "other", "d", "a")
    await store.mark_seen("42", ["b"])
    key = (await store.states(["42"]))["42"].user_key
    assert await store.place("42", "b") == Place(key, 2), "seen or not"
    assert await store.place("42", "c") == Place(key, 3)
    await store.withdraw("42", "b")
    for user, id in (("42", "b"), ("42", "d"), ("nobody", "a"), ("42", "\0")):
        with pytest.raises(UnknownNotification):
            await store.place(user, id)


async def test_seen_date_is_set_once_by_the_first(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b")
    first = clock.now()
    assert await store.mark_seen("42", ["a"]) == 1
    version = (await store.states(["42"]))["42"].version
    clock.advance(60)
    key = (await store.states(["42"]))["42"].user_key
    assert await store.mark_seen("42", ["a"]) == 0
    assert await store.mark_sent_seen(key, [1]) == 0
    assert (await store.states(["42"]))["42"].version == version
    assert await store.mark_all_seen("42") == 1
    assert await seen_dates(store, "42") == [first, clock.now()]


async def test_marking_takes_only_what_is_the_users(store: Store) -> None:
    await named(store, "42", "a")
    await named(store, "7", "b")
    assert await store.mark_seen("42", ["b", "never", "a", "a"]) == 1
    assert await store.mark_seen("nobody", ["a"]) == 0
    assert await store.mark_sent_seen(10_000, [1]) == 0
    assert await store.mark_all_seen("nobody") == 0
    assert await count(store, "7") == 1


async def test_all_is_marked_in_more_commits_than_one(store: Store, clock: FakeClock) -> None:
    for _ in range(3):
        await append(store, "42", *map(str, range(1_000)))
    await append(store, "42", "one more")
    assert await store.mark_all_seen("42") == 3_001
    assert await count(store, "42") == 0
    assert set(await seen_dates(store, "42")) == {clock.now()}


async def test_all_means_what_was_unseen_at_the_call(store: Store) -> None:
    await append(store, "42", *map(str, range(1_000)))
    await append(store, "42", *map(str, range(1_000)))
    marking = asyncio.create_task(store.mark_all_seen("42"))
    late: list[asyncio.Task[object]] = []
    while not marking.done():  # somebody appends in every gap between its commits
        late.append(asyncio.create_task(append(store, "42", "late")))
        await late[-1]
    assert await marking == 2_000
    assert 0 < await count(store, "42") == len(await unseen(store, "42")) <= len(late)


async def test_two_marks_of_the_same_rows_change_them_once(store: Store) -> None:
    await named(store, "42", *(f"n{i}" for i in range(100)))
    names = [f"n{i}" for i in range(100)]
    marked = await asyncio.gather(*(store.mark_seen("42", names) for _ in range(10)))
    assert sum(marked) == 100
    assert await count(store, "42") == 0


async def test_withdrawing(store: Store) -> None:
    await named(store, "42", "a", "b", "c")
    await store.mark_seen("42", ["b"])
    before = (await store.states(["42"]))["42"]
    assert await store.withdraw("42", "b") is True
    assert (await store.states(["42"]))["42"] == before
    assert await store.withdraw("42", "a") is True
    after = (await store.states(["42"]))["42"]
    assert after.unseen == 1
    assert after.version > before.version
    assert await inbox(store, "42") == ["c"]
    assert await store.withdraw("42", "a") is False
    assert await store.withdraw("nobody", "a") is False
    assert await store.withdraw("7", "c") is False


async def test_places_are_never_given_out_again(store: Store) -> None:
    await named(store, "42", "a", "b")
    await store.withdraw("42", "b")
    await named(store, "42", "c")
    assert [item.seq for item in (await store.inbox("42", cursor())).items] == [1, 3]


async def test_the_version_rises_with_every_change_of_the_count(store: Store) -> None:
    versions = [0]

    async def risen() -> bool:
        versions.append((await store.states(["42"]))["42"].version)
        return versions[-1] > versions[-2]

    await named(store, "42", "a", "b", "c", "d")
    assert await risen()
    await named(store, "42", "e")
    assert await risen()
    await store.mark_seen("42", ["a"])
    assert await risen()
    await store.withdraw("42", "b")
    assert await risen()
    key = (await store.states(["42"]))["42"].user_key
    await store.mark_sent_seen(key, [3])
    assert await risen()
    await store.mark_all_seen("42")
    assert await risen()
    await store.mark_all_seen("42")
    assert not await risen()


# ── expiry and pruning ────────────────────────────────────────────────────────────────────────────────


def soon(clock: FakeClock, seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now(), seconds=seconds)


async def test_expiry_removes_and_counts(store: Store, clock: FakeClock) -> None:
    await store.append(
        [
            submission(
                "42",
                Notification("a", expire_date=soon(clock, 1)),
                Notification("b", expire_date=soon(clock, 2)),
            ),
            submission("7", Notification("c", expire_date=soon(clock, 1)), "d"),
            submission("8", "e"),
        ]
    )
    assert await store.expire(100) == frozenset()
    clock.advance(1)
    assert await store.expire(100) == {"42", "7"}
    assert await store.expire(100) == frozenset()
    assert (await count(store, "42"), await count(store, "7"), await count(store, "8")) == (1, 1, 1)
    assert await inbox(store, "42") == ["b"]


async def test_expiry_is_bounded_and_oldest_first(store: Store, clock: FakeClock) -> None:
    for i in range(5):
        await append(store, "42", Notification(str(i), expire_date=soon(clock, 10 - i)))
    clock.advance(10)
    assert await store.expire(2) == {"42"}
    assert await count(store, "42") == 3
    clock.jump(-10)
    assert await inbox(store, "42") == ["0", "1", "2"]


async def test_a_seen_one_that_expires_is_removed_and_counted_nowhere(store: Store, clock: FakeClock) -> None:
    await append(store, "42", Notification("a", notification_id="a", expire_date=soon(clock, 1)), "b")
    await store.mark_seen("42", ["a"])
    clock.advance(1)
    await store.expire(10)
    clock.jump(-1)
    assert await inbox(store, "42") == ["b"]
    assert await count(store, "42") == 1


async def test_pruning_takes_what_was_seen_before(store: Store, clock: FakeClock) -> None:
    await named(store, "42", "a", "b", "c", "d")
    await store.mark_seen("42", ["c"])
    clock.advance(1)
    await store.mark_seen("42", ["a"])
    clock.advance(1)
    await store.mark_seen("42", ["b"])
    assert await store.prune(seen_before=None, limit=100) == 0
    assert await store.prune(seen_before=clock.now() - 1_000_000, limit=100) == 1
    assert await seen(store, "42") == ["a", "b"]
    assert await store.prune(seen_before=clock.now() + 1, limit=1) == 1
    assert await seen(store, "42") == ["b"]
    assert await store.prune(seen_before=clock.now() + 1, limit=100) == 1
    assert await inbox(store, "42") == ["d"]
    assert await count(store, "42") == 1


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pruning_ends(store: Store, clock: FakeClock, limit: int) -> None:
    await append(store, "42", *map(str, range(10)))
    await store.mark_all_seen("42")
    total = 0
    while removed := await store.prune(seen_before=clock.now() + 1, limit=limit):
        assert removed <= limit
        total += removed
    assert total == 10
