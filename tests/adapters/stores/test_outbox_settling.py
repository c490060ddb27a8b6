"""What became of claimed pushes: every state, late words of old attempts, dead devices, and the record."""

from __future__ import annotations

import asyncio

import pytest

from pns.contracts.outbox import Backlog, Settlement
from pns.contracts.store import Store
from pns.model.device import Device
from pns.model.push import Push, PushState, PushStatus
from pns.testing.clock import FakeClock

from .pushing import HOUR, LEASE, START, accept, claim, phone, push, settle, states, told

FINAL = [PushState.ACCEPTED, PushState.FAILED, PushState.EXPIRED, PushState.CANCELLED]


async def claimed(store: Store, clock: FakeClock, **device: object) -> Push:
    """The one push to a new device of ann's, on its way for the first time."""
    await store.outbox.register(phone(**device))  # type: ignore[arg-type]
    await push(store, "a")
    (found,) = await claim(store, clock)
    return found


async def reclaimed(store: Store, clock: FakeClock) -> Push:
    clock.advance(LEASE / 1e6)
    (found,) = await claim(store, clock)
    return found


async def the_device(store: Store) -> Device | None:
    return await store.outbox.device("phone")


# ── states ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", FINAL)
async def test_what_is_settled_is_never_claimed_again(
    store: Store, other: Store, clock: FakeClock, state: PushState
) -> None:
    sent = await claimed(store, clock)
    clock.jump(9e-6)
    await settle(store, state, sent, reason="because", provider_id="theirs")
    (status,) = await other.outbox.pushes("ann", "a")
    assert status == PushStatus("phone", "fcm", "fcm", state, 1, "because", "theirs", None, START + 9)
    assert await store.outbox.next_due() == {}
    clock.advance(LEASE / 1e6)
    assert await claim(other, clock) == []
    assert await the_device(store) is not None


async def test_a_push_to_be_tried_again_is_due_when_it_is_said(store: Store, clock: FakeClock) -> None:
    sent = await claimed(store, clock)
    await settle(store, PushState.RETRY, sent, reason="busy", due_at=START + 50)
    (status,) = await store.outbox.pushes("ann", "a")
    assert status == PushStatus("phone", "fcm", "fcm", PushState.RETRY, 1, "busy", None, START + 50, START)
    assert await store.outbox.next_due() == {"fcm": START + 50}
    clock.jump(49e-6)
    assert await claim(store, clock) == []
    clock.jump(1e-6)
    (again,) = await claim(store, clock)
    assert (again.attempt, again.push_id) == (2, sent.push_id)


async def test_many_are_settled_at_once_each_for_itself(store: Store, clock: FakeClock) -> None:
    names = [state.value for state in (*FINAL, PushState.RETRY, PushState.DEVICE_INVALID)]
    for number, name in enumerate(names):
        await store.outbox.register(phone(f"user {number}", name))
        await push(store, "a", user_id=f"user {number}")
    found = await claim(store, clock)
    for each in found:
        reason = each.device.user_id
        outcome = PushState(each.device.device_id)
        await store.outbox.settle([Settlement(each, outcome, reason, f"id of {reason}", START + 7)])
    every = [s for n in range(len(names)) for s in await store.outbox.pushes(f"user {n}", "a")]
    assert [(s.state, s.reason, s.provider_id) for s in every] == [
        (name, f"user {n}", f"id of user {n}") for n, name in enumerate(names)
    ]


async def test_settling_at_once_is_settling_one_by_one(store: Store, clock: FakeClock) -> None:
    outcomes = [*FINAL, PushState.RETRY, PushState.DEVICE_INVALID]
    for number, _ in enumerate(outcomes):
        await store.outbox.register(phone(device_id=f"{number}", registered_at=START + number))
    await push(store, "a")
    found = sorted(await claim(store, clock), key=lambda p: p.device.device_id)
    await store.outbox.settle(
        [
            Settlement(p, state, f"reason {p.device.device_id}", None, START + 7)
            for p, state in zip(found, outcomes, strict=True)
        ]
    )
    told_of = sorted(await store.outbox.pushes("ann", "a"), key=lambda status: status.device_id)
    assert [(s.state, s.reason) for s in told_of] == [(s, f"reason {n}") for n, s in enumerate(outcomes)]
    assert [device.device_id for device in await store.outbox.devices("ann")] == ["0", "1", "2", "3", "4"]
    await store.outbox.settle([])


# ── late words ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late", [PushState.FAILED, PushState.RETRY, PushState.EXPIRED, PushState.CANCELLED])
async def test_a_late_word_of_an_old_attempt_changes_nothing(
    store: Store, other: Store, clock: FakeClock, late: PushState
) -> None:
    first = await claimed(store, clock)
    second = await reclaimed(other, clock)
    before = await store.outbox.pushes("ann", "a")
    await settle(store, late, first, due_at=START)
    assert await store.outbox.pushes("ann", "a") == before
    await settle(other, PushState.FAILED, second, reason="mine")
    await settle(store, late, first, reason="late", due_at=START)
    (status,) = await store.outbox.pushes("ann", "a")
    assert (status.state, status.reason, status.attempts) == ("failed", "mine", 2)


async def test_what_an_old_attempt_brought_to_the_network_is_accepted(
    store: Store, other: Store, clock: FakeClock
) -> None:
    first = await claimed(store, clock)
    second = await reclaimed(other, clock)
    await settle(store, PushState.ACCEPTED, first, provider_id="first")
    for late in (PushState.RETRY, PushState.FAILED):
        await settle(other, late, second, reason="late", due_at=START)
    (status,) = await store.outbox.pushes("ann", "a")
    assert (status.state, status.provider_id, status.reason) == ("accepted", "first", None)
    await settle(other, PushState.ACCEPTED, second, provider_id="second")
    assert [s.provider_id for s in await store.outbox.pushes("ann", "a")] == ["first"]
    assert await store.outbox.next_due() == {}


@pytest.mark.parametrize("decided", ["seen", "removed", "failed"])
async def test_accepted_is_accepted_whatever_was_decided_meanwhile(
    store: Store, clock: FakeClock, decided: str
) -> None:
    """The device shows it: who has seen it elsewhere wants it away."""
    sent = await claimed(store, clock)
    if decided == "failed":
        await settle(store, PushState.FAILED, await reclaimed(store, clock))
    elif decided == "removed":
        await store.outbox.unregister("ann", "phone")
    else:
        await store.mark_seen("ann", ["a"])
        clock.advance(LEASE / 1e6)
        assert await claim(store, clock) == []
    assert await states(store, "a") == [("phone", "failed" if decided == "failed" else "cancelled")]
    await settle(store, PushState.ACCEPTED, sent)
    assert await states(store, "a") == [("phone", "seen" if decided == "seen" else "accepted")]
    assert await store.outbox.dismiss("ann", clock.now() + 1) == (decided == "seen")


async def test_a_push_that_nobody_claimed_or_that_is_no_more(store: Store, clock: FakeClock) -> None:
    sent = await claimed(store, clock)
    await settle(store, PushState.RETRY, sent, due_at=START + 1)
    await settle(store, PushState.FAILED, sent)
    assert await states(store, "a") == [("phone", "retry")]
    await store.erase("ann")
    for state in PushState:
        await settle(store, state, sent)
    assert await states(store, "a") == []
    assert await store.outbox.backlog() == []


# ── dead devices ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_dead_device_is_removed_with_what_waits_for_it(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="tablet"))
    await push(store, "a", "b")
    found = {(p.device.device_id, p.notification_id): p for p in await claim(store, clock)}
    await push(store, "c")
    await settle(store, PushState.DEVICE_INVALID, found["phone", "a"], reason="gone")
    assert [device.device_id for device in await store.outbox.devices("ann")] == ["tablet"]
    assert ("phone", "device_invalid") in await states(store, "a")
    for name in ("b", "c"):
        assert ("phone", "cancelled") in await states(store, name)
        assert ("tablet", "cancelled") not in await states(store, name)


async def test_two_words_of_one_dead_device(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "a", "b", "c")
    found = await claim(store, clock)
    await settle(store, PushState.DEVICE_INVALID, *found[:2])
    await settle(store, PushState.DEVICE_INVALID, found[2])
    assert [await states(store, name) for name in "abc"] == [
        [("phone", "device_invalid")],
        [("phone", "device_invalid")],
        [("phone", "cancelled")],  # with its device, before its own word came
    ]
    assert await the_device(store) is None


@pytest.mark.parametrize("address", ["address of phone", "another"])
async def test_an_old_word_never_kills_a_new_registration(
    store: Store, clock: FakeClock, address: str
) -> None:
    """Registered again between claim and settle: the device stays, and the push is due at once."""
    sent = await claimed(store, clock)
    again = await store.outbox.register(phone(address=address))  # at the very same microsecond
    clock.jump(5e-6)
    await settle(store, PushState.DEVICE_INVALID, sent, reason="gone", due_at=START + LEASE)
    assert await the_device(store) == again
    (status,) = await store.outbox.pushes("ann", "a")
    assert (status.state, status.due_at, status.reason) == ("retry", START + 5, "gone")
    (second,) = await claim(store, clock)
    assert (second.device, second.attempt) == (again, 2)
    await settle(store, PushState.DEVICE_INVALID, second)
    assert await the_device(store) is None


async def test_an_old_word_never_kills_another_users_device(store: Store, clock: FakeClock) -> None:
    """One browser, one device id: who logs in there now has nothing to do with who did before."""
    sent = await claimed(store, clock)
    theirs = await store.outbox.register(phone("bob"))
    await push(store, "b", user_id="bob")
    await settle(store, PushState.DEVICE_INVALID, sent)
    assert await the_device(store) == theirs
    assert await states(store, "a") == [("phone", "cancelled")]
    assert await states(store, "b", user_id="bob") == [("phone", "queued")]


async def test_an_old_attempts_word_of_a_dead_device_counts(
    store: Store, other: Store, clock: FakeClock
) -> None:
    first = await claimed(store, clock)
    await reclaimed(other, clock)
    await settle(store, PushState.DEVICE_INVALID, first)
    assert await the_device(store) is None
    assert await states(store, "a") == [("phone", "cancelled")]


# ── the record ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_backlog_counts_by_gateway_and_state(store: Store, clock: FakeClock) -> None:
    assert await store.outbox.backlog() == []
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="ipad", network="apns", gateway="apns"))
    await push(store, "a")
    clock.jump(3e-6)
    await push(store, "b", "c")
    await accept(store, clock, limit=1)
    (late,) = await claim(store, clock, gateway="apns", limit=1)
    await settle(store, PushState.RETRY, late, reason="503", due_at=START + HOUR)
    await claim(store, clock, limit=1)
    assert await store.outbox.backlog() == [
        Backlog("apns", PushState.QUEUED, 2, START + 3),
        Backlog("apns", PushState.RETRY, 1, START + HOUR, "503"),
        Backlog("fcm", PushState.ACCEPTED, 1, None),
        Backlog("fcm", PushState.QUEUED, 1, START + 3),
        Backlog("fcm", PushState.SENDING, 1, START + 3 + LEASE),
    ]


@pytest.mark.parametrize("limit", [2, 100])
async def test_settled_pushes_are_pruned_in_steps(store: Store, clock: FakeClock, limit: int) -> None:
    await store.outbox.register(phone())
    await push(store, *(f"old {n}" for n in range(5)))
    found = await claim(store, clock)
    for outcome, each in zip((*FINAL, PushState.RETRY), found, strict=True):
        await settle(store, outcome, each, due_at=START + 10)
    clock.jump(5e-6)
    await push(store, "new")
    await accept(store, clock)
    steps = []
    while removed := await store.outbox.prune_pushes(settled_before=START + 5, limit=limit):
        steps.append(removed)
    assert steps == ([2, 2] if limit == 2 else [4])
    assert await states(store, "new") == [("phone", "accepted")]
    assert [b.state for b in await store.outbox.backlog()] == ["accepted", "retry"]
    clock.jump(5e-6)
    assert told(await claim(store, clock)) == [("phone", "old 4")]


@pytest.mark.usefixtures("without_deadlock")
async def test_two_nodes_settle_crosswise(store: Store, other: Store, clock: FakeClock) -> None:
    """Late words and new ones of the same pushes, of many users, in any order, while others claim."""
    users = [f"user {n}" for n in range(6)]
    for user_id in users:
        await store.outbox.register(phone(user_id, user_id))
        await push(store, *map(str, range(6)), user_id=user_id)
    first = await claim(store, clock)
    clock.advance(LEASE / 1e6)
    second = await claim(other, clock, lease=0)
    await asyncio.gather(
        *(settle(store, PushState.ACCEPTED, *first[n::6]) for n in range(6)),
        *(settle(other, PushState.RETRY, *second[n::5], due_at=START) for n in reversed(range(5))),
        *(claim(node, clock, lease=0) for node in (store, other) * 3),
        *(node.outbox.dismiss(user_id, START) for node in (store, other) for user_id in users[::-1]),
    )
    assert {state for user_id in users for _, state in await states(store, "3", user_id=user_id)} == {
        "accepted"
    }


# ── what a gateway has learned ────────────────────────────────────────────────────────────────────────


async def test_what_a_gateway_has_learned_is_kept(store: Store, other: Store, clock: FakeClock) -> None:
    sent = await claimed(store, clock, keys={"auth": "a"})
    await settle(store, PushState.RETRY, sent, due_at=START, keys={"auth": "a", "refused_key": "k"})
    found = await the_device(other)
    assert found is not None
    assert dict(found.keys) == {"auth": "a", "refused_key": "k"}
    (again,) = await claim(store, clock)
    assert dict(again.device.keys) == dict(found.keys)


async def test_a_new_registration_knows_better_than_what_was_learned(store: Store, clock: FakeClock) -> None:
    sent = await claimed(store, clock, keys={"auth": "a"})
    await store.outbox.register(phone(keys={"auth": "b"}))
    await settle(store, PushState.RETRY, sent, due_at=START, keys={"auth": "a", "refused_key": "k"})
    found = await the_device(store)
    assert found is not None
    assert dict(found.keys) == {"auth": "b"}
