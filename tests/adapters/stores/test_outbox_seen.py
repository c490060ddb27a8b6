"""What was seen or removed after it was pushed: the record follows at once, and devices are told of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from pns.adapters.stores.dismissed import DISMISSED_AT_ONCE
from pns.contracts.store import Presence, Store
from pns.model.push import PushSchedule, PushState
from pns.testing.clock import FakeClock

from .conftest import append
from .pushing import HOUR, LEASE, START, accept, claim, phone, push, settle, states, told

UNTIL = START + HOUR


async def two_devices(store: Store) -> None:
    await store.outbox.register(phone(registered_at=START))
    await store.outbox.register(phone(device_id="tablet", registered_at=START + 1))


# ── the record ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_record_follows_the_inbox_at_once(store: Store, other: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    for name in ("accepted", "failed", "kept"):
        await push(store, name)
        (claimed,) = await claim(store, clock)
        await settle(store, PushState.FAILED if name == "failed" else PushState.ACCEPTED, claimed)
    await push(store, "queued")
    await store.mark_seen("ann", ["accepted", "queued", "failed"])
    expected = {"accepted": "seen", "queued": "cancelled", "failed": "failed", "kept": "accepted"}
    for name, state in expected.items():
        assert await states(other, name) == [("phone", state)]
    (status,) = await other.outbox.pushes("ann", "queued")
    assert (status.reason, status.due_at) == ("seen", None)
    await store.withdraw("ann", "accepted")
    assert await states(other, "accepted") == [("phone", "accepted")]


async def test_the_record_is_the_users_own(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone("bob", "tablet"))
    await push(store, "a")
    await push(store, "a", user_id="bob")
    await accept(store, clock, limit=1)
    assert await states(store, "a", user_id="bob") == [("tablet", "queued")]
    assert await store.outbox.pushes("eve", "a") == []


async def test_the_record_is_in_the_order_of_devices(store: Store) -> None:
    for device_id in ("b", "c", "a"):
        await store.outbox.register(phone(device_id=device_id))
    await push(store, "x")
    assert await states(store, "x") == [("a", "queued"), ("b", "queued"), ("c", "queued")]


# ── dismiss ───────────────────────────────────────────────────────────────────────────────────────────


async def test_each_device_is_told_once_of_all_that_it_need_not_show(store: Store, clock: FakeClock) -> None:
    await two_devices(store)
    await push(store, "a", "b", "c", "kept")
    await accept(store, clock)
    await store.mark_seen("ann", ["a", "c"])
    await store.withdraw("ann", "b")
    clock.jump(7e-6)
    assert await store.outbox.dismiss("ann", UNTIL) == 2
    words = sorted(await claim(store, clock), key=lambda p: p.device.device_id)
    assert [(p.device.device_id, p.dismissed) for p in words] == [
        ("phone", ("a", "b", "c")),
        ("tablet", ("a", "b", "c")),
    ]
    assert {(p.notification_id, p.notification_data, p.attempt, p.expires_at) for p in words} == {
        ("", "", 1, UNTIL)
    }
    assert {p.badge for p in words} == {1}
    assert await states(store, "a") == [("phone", "seen"), ("tablet", "seen")]
    assert await states(store, "kept") == [("phone", "accepted"), ("tablet", "accepted")]
    assert await store.outbox.pushes("ann", "") == []
    await settle(store, PushState.ACCEPTED, *words)
    assert await store.outbox.dismiss("ann", UNTIL) == 0
    await store.mark_all_seen("ann")
    assert await store.outbox.dismiss("ann", UNTIL) == 2
    assert [p.dismissed for p in await claim(store, clock)] == [("kept",), ("kept",)]


async def test_only_what_a_device_shows_is_told_of(store: Store, clock: FakeClock) -> None:
    """Not what never reached it, nor what waits still: that is cancelled instead."""
    await two_devices(store)
    await push(store, "a")
    by_device = {p.device.device_id: p for p in await claim(store, clock)}
    await settle(store, PushState.ACCEPTED, by_device["phone"])
    await settle(store, PushState.FAILED, by_device["tablet"])
    await push(store, "b")
    await store.mark_all_seen("ann")
    assert await store.outbox.dismiss("ann", UNTIL) == 1
    (word,) = await claim(store, clock)
    assert (word.device.device_id, word.dismissed) == ("phone", ("a",))


async def test_nothing_is_told_where_nothing_is_to_be_told(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    assert await store.outbox.dismiss("ann", UNTIL) == 0
    assert await store.outbox.dismiss("nobody", UNTIL) == 0
    await push(store, "a")
    await accept(store, clock)
    assert await store.outbox.dismiss("ann", UNTIL) == 0
    assert await store.outbox.next_due() == {}


@pytest.mark.parametrize("device_id", ["phone", "browser"])
async def test_a_device_that_left_is_told_nothing(store: Store, clock: FakeClock, device_id: str) -> None:
    """Least of all when it is another user's now, whose counter is none of ann's."""
    await store.outbox.register(phone())
    await push(store, "a")
    await accept(store, clock)
    await store.mark_all_seen("ann")
    taken = phone("bob", device_id, address="address of phone", badge=9)
    assert await store.outbox.register(taken) == taken
    assert await store.outbox.dismiss("ann", UNTIL) == 0
    assert await claim(store, clock) == []
    assert await store.outbox.devices("bob") == [taken]
    assert await store.outbox.dismiss("ann", UNTIL) == 0


async def test_a_word_of_what_was_seen_reaches_a_connected_user_and_ends_in_time(
    store: Store, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    await accept(store, clock)
    await store.renew_lease("node", clock.now() + 9 * HOUR, [Presence("ann", "tab", 1, 1)])
    await store.mark_all_seen("ann")
    assert await store.outbox.dismiss("ann", START + LEASE + 1) == 1
    assert len(await claim(store, clock, offline_only=True)) == 1
    clock.advance(LEASE / 1e6)
    (again,) = await claim(store, clock, offline_only=True)
    assert again.attempt == 2
    clock.advance(LEASE / 1e6)
    assert await claim(store, clock, offline_only=True) == []
    assert [b.state for b in await store.outbox.backlog()] == ["expired", "seen"]


async def test_a_counter_of_its_own_falls_by_what_is_told(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=0))
    await store.outbox.register(phone(device_id="tablet", badge=0))
    await store.outbox.register(phone(device_id="unseen"))
    await push(store, "a", "b", "c")
    await accept(store, clock)
    await store.outbox.set_badge("tablet", 1)
    await store.mark_seen("ann", ["a", "b"])
    assert await store.outbox.dismiss("ann", UNTIL) == 3
    badges = {p.device.device_id: p.badge for p in await claim(store, clock)}
    assert badges == {"phone": 1, "tablet": 0, "unseen": 1}
    kept = {device.device_id: device.badge for device in await store.outbox.devices("ann")}
    assert kept == {"phone": 1, "tablet": 0, "unseen": None}


async def test_two_nodes_dismiss_at_the_same_time(store: Store, other: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=0))
    for number in range(10):
        await push(store, f"n{number}", "kept" + str(number))
        await accept(store, clock)
        await store.mark_seen("ann", [f"n{number}"])
        enqueued = await asyncio.gather(*(node.outbox.dismiss("ann", UNTIL) for node in (store, other)))
        assert sorted(enqueued) == [0, 1]
        assert [p.dismissed for p in await accept(store, clock)] == [(f"n{number}",)]
    device = await store.outbox.device("phone")
    assert device is not None
    assert device.badge == 10


async def all_told(store: Store, clock: FakeClock) -> list[tuple[str, ...]]:
    """The words that are sent, in their order, until there is nothing to tell."""
    words: list[tuple[str, ...]] = []
    while await store.outbox.dismiss("ann", UNTIL):
        words += [word.dismissed for word in await accept(store, clock)]
    return words


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    "name",
    ["n{}", "{:064}", "{:0111}", '"' * 61 + "{:03}", "ü" * 61 + "{:03}"],
    ids=["short", "long", "longer", "quotes", "umlauts"],
)
async def test_all_that_was_seen_is_told_in_words_that_fit(store: Store, clock: FakeClock, name: str) -> None:
    """However long its ids are, and however JSON has them."""
    await store.outbox.register(phone())
    names = [name.format(number) for number in range(120)]
    await push(store, *names)
    await accept(store, clock, limit=200)
    await store.mark_all_seen("ann")
    words = await all_told(store, clock)
    assert [id for word in words for id in reversed(word)] == names[::-1], "the newest first, each once"
    sizes = [len(as_json(as_json(word)).encode()) for word in words]
    assert max(sizes) <= 3_900
    assert all(size > 3_000 for size in sizes[:-1]), "no more words than are needed"


async def test_an_id_without_room_among_others_has_a_word_of_its_own(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    long, longer = "x" * 3_900, "x" * 5_000
    await push(store, "a", long, "b", longer)
    await accept(store, clock)
    await store.mark_all_seen("ann")
    assert await all_told(store, clock) == [(longer,), ("b",), (long,), ("a",)]


async def test_what_is_too_much_for_one_turn_is_told_in_the_next(store: Store, clock: FakeClock) -> None:
    """Until then it is neither told nor counted."""
    await store.outbox.register(phone(badge=0))
    await store.outbox.register(phone(device_id="tablet"))
    names = [f"{number:0400}" for number in range(100)]
    await push(store, *names)
    await accept(store, clock, limit=200)
    await store.mark_all_seen("ann")
    told_of: list[str] = []
    for count in (10, 2):
        assert await store.outbox.stale(0, 500) == (["ann"], 0)
        assert await store.outbox.dismiss("ann", UNTIL) == 2 * count
        words = await accept(store, clock)
        told_of += [id for p in words if p.device.device_id == "phone" for id in reversed(p.dismissed)]
        assert {(p.device.device_id, p.badge) for p in words} == {
            ("phone", 100 - len(told_of)),
            ("tablet", 0),
        }
    assert told_of == names[::-1]
    assert await store.outbox.stale(0, 500) == ([], 0)
    assert await store.outbox.dismiss("ann", UNTIL) == 0


async def test_more_than_one_look_takes_is_told_newest_first(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    names = [f"n{number}" for number in range(DISMISSED_AT_ONCE + 200)]
    await push(store, *names)
    await accept(store, clock, limit=2_000)
    await store.mark_all_seen("ann")
    words = await all_told(store, clock)
    assert [id for word in words for id in reversed(word)] == names[::-1]


# ── stale ─────────────────────────────────────────────────────────────────────────────────────────────


async def stale(store: Store, limit: int) -> list[str]:
    """All whom a look from the beginning to the end finds."""
    found, after = await store.outbox.stale(0, limit)
    while after:
        more, after = await store.outbox.stale(after, limit)
        found += more
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_everybody_who_is_to_be_told_is_found(store: Store, clock: FakeClock, limit: int) -> None:
    """However many accepted pushes each of them has, and however few are looked at in one step."""
    for number, count in enumerate([1, 3, 2, 4, 1, 2]):
        user_id = f"user {number}"
        await store.outbox.register(phone(user_id, user_id))
        await push(store, *map(str, range(count)), user_id=user_id)
    await accept(store, clock)
    assert {
        user_id for user_id in await stale(store, limit) if await store.outbox.dismiss(user_id, 1)
    } == set()
    for user_id in ("user 1", "user 3", "user 5"):
        await store.mark_seen(user_id, ["1"])
    await store.withdraw("user 0", "0")
    await store.erase("user 5")
    found = await stale(store, limit)
    assert len(found) == len(set(found))
    assert [user_id for user_id in found if await store.outbox.dismiss(user_id, UNTIL)] == [
        "user 0",
        "user 1",
        "user 3",
    ]
    told_of = [user_id for user_id in await stale(store, limit) if await store.outbox.dismiss(user_id, UNTIL)]
    assert told_of == []


async def test_a_look_that_sees_all_names_only_those_concerned(store: Store, clock: FakeClock) -> None:
    for user_id in ("ann", "bob"):
        await store.outbox.register(phone(user_id, user_id))
        await push(store, "a", "b", user_id=user_id)
    assert await store.outbox.stale(0, 100) == ([], 0)
    await accept(store, clock)
    assert await store.outbox.stale(0, 100) == ([], 0)
    await store.mark_seen("ann", ["b"])
    assert await store.outbox.stale(0, 100) == (["ann"], 0)
    await store.outbox.dismiss("ann", UNTIL)
    assert await store.outbox.stale(0, 100) == ([], 0)


# ── erasure ───────────────────────────────────────────────────────────────────────────────────────────


async def test_erasure_leaves_no_device_and_no_push(store: Store, clock: FakeClock) -> None:
    for user_id in ("ann", "bob"):
        await store.outbox.register(phone(user_id, user_id))
        for start in range(0, 700, 350):
            await push(store, *map(str, range(start, start + 350)), user_id=user_id)
    await accept(store, clock, limit=100)
    await store.erase("ann")
    assert await store.outbox.devices("ann") == []
    assert await store.outbox.device("ann") is None
    assert [device.device_id for device in await store.outbox.all_devices("", 9)] == ["bob"]
    assert sum(b.pushes for b in await store.outbox.backlog()) == 700
    assert await store.prune(seen_before=None, limit=9) == 0
    assert {p.device.user_id for p in await claim(store, clock, limit=2_000)} == {"bob"}


async def test_who_was_erased_and_comes_back_has_nothing_of_before(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=4))
    await push(store, "a", terms=PushSchedule(5, HOUR))
    await store.erase("ann")
    assert await store.outbox.register(phone()) == phone()
    assert await states(store, "a") == []
    clock.advance(1)
    assert await claim(store, clock) == []
    await append(store, "ann", "quiet")
    await push(store, "a")
    (found,) = await claim(store, clock)
    assert (told([found]), found.badge) == ([("phone", "a")], 2)


async def test_which_are_unseen_still(store: Store, clock: FakeClock) -> None:
    await push(store, "unseen", "seen", "gone")
    await push(store, "another's", user_id="bob")
    await store.mark_seen("ann", ["seen"])
    await store.withdraw("ann", "gone")
    asked = ["unseen", "seen", "gone", "another's", "never", "no \x00 id"]
    assert await store.outbox.still_unseen("ann", asked) == {"unseen"}
    assert await store.outbox.still_unseen("nobody", asked) == set()
    assert await store.outbox.still_unseen("ann", []) == set()
