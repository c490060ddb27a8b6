"""Pushes from the append to the claim: when they are enqueued, who may take them, and who never may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pns.contracts.store import Presence, Store, Submission
from pns.errors import NotificationIdConflict
from pns.model.notification import Notification
from pns.model.push import Cause, FCMControls, PushControls, PushSchedule, PushState
from pns.testing.clock import FakeClock

from .conftest import append, inbox, submission
from .pushing import HOUR, LEASE, START, TERMS, accept, claim, phone, push, settle, states, told


def at(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


# ── in the notification's own transaction ─────────────────────────────────────────────────────────────


async def test_a_push_for_each_device_that_its_user_has_at_that_moment(
    store: Store, other: Store, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="tablet"))
    await store.outbox.register(phone("bob", "theirs"))
    await push(store, "a", "b")
    await store.outbox.register(phone(device_id="late"))
    await other.outbox.unregister("ann", "tablet")
    await push(store, "c")
    found = await claim(other, clock)
    assert told(found) == [("late", "c"), ("phone", "a"), ("phone", "b"), ("phone", "c")]
    assert len({p.push_key for p in found}) == 4


async def test_without_terms_nothing_is_pushed(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await append(store, "ann", "a")
    assert await store.outbox.next_due() == {}
    assert await claim(store, clock) == []


async def test_a_push_says_all_that_there_is_to_say(store: Store, clock: FakeClock) -> None:
    device = await store.outbox.register(phone())
    controls = PushControls(data={"n": 1, "é": "x"}, sender="shop", fcm=FCMControls(priority="high"))
    notification = Notification(
        '{"title": "é"}',
        notification_id="a",
        create_date=at(START - 7),
        category="orders",
        collapse_key="k",
        push=controls,
    )
    cause = Cause(topic="news", when=1, type_="DATA_OBJECT_CREATED")
    await store.append([Submission("ann", (notification,), cause)], TERMS)
    (found,) = await claim(store, clock)
    assert (found.device, found.attempt, found.expires_at, found.badge) == (device, 1, START + HOUR, 1)
    assert (found.notification_id, found.notification_data) == ("a", '{"title": "é"}')
    assert (found.create_date, found.category, found.collapse_key) == (START - 7, "orders", "k")
    assert (found.controls, found.cause, found.dismissed) == (controls, cause, ())


@pytest.mark.parametrize("named", [True, False])
async def test_requests_of_one_commit_have_terms_of_their_own(
    store: Store, clock: FakeClock, named: bool
) -> None:
    for user_id in ("ann", "bob", "eve"):
        await store.outbox.register(phone(user_id, user_id, gateway=user_id))

    async def request(user_id: str, terms: PushSchedule | None) -> None:
        clock.jump(1e-6)
        notification = Notification("x", notification_id="a" if named else None)
        await store.append([submission(user_id, notification)], terms)

    await asyncio.gather(
        request("ann", PushSchedule(delay=0, lifetime=600)),
        request("eve", None),
        request("bob", PushSchedule(delay=500, lifetime=900)),
    )
    assert await store.outbox.next_due() == {"ann": START + 1, "bob": START + 503}
    clock.jump(500e-6)
    found = [p for user_id in ("ann", "bob") for p in await claim(store, clock, gateway=user_id)]
    assert [p.expires_at for p in found] == [START + 601, START + 1403]


async def test_a_refused_request_enqueues_nothing(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    new, other = Notification("new", notification_id="b"), Notification("other", notification_id="a")
    with pytest.raises(NotificationIdConflict):
        await store.append([submission("ann", new, other)], TERMS)
    assert told(await claim(store, clock)) == [("phone", "a")]
    assert await states(store, "b") == []


async def test_what_is_known_or_too_late_is_not_pushed_again(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    await push(store, "a", "b")
    await push(store, "c", expire_date=at(START))
    assert told(await claim(store, clock)) == [("phone", "a"), ("phone", "b")]


async def test_what_one_commit_replaces_is_pushed_once(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await asyncio.gather(*(push(store, name, collapse_key="k") for name in "abc"))
    await push(store, "d", "e", collapse_key="l")
    assert await inbox(store, "ann") == ["c", "e"]
    assert told(await claim(store, clock)) == [("phone", "c"), ("phone", "e")]


async def test_a_notification_that_expires_is_pushed_no_longer_than_that(
    store: Store, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await push(store, "a", expire_date=at(START + 9))
    await push(store, "b", expire_date=at(START + 2 * HOUR))
    assert [p.expires_at for p in await claim(store, clock)] == [START + 9, START + HOUR]


# ── due ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_push_is_due_after_its_delay(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="ipad", network="apns", gateway="apns"))
    await push(store, "later", terms=PushSchedule(delay=9, lifetime=HOUR))
    await push(store, "soon", terms=PushSchedule(delay=5, lifetime=HOUR))
    assert await store.outbox.next_due() == {"fcm": START + 5, "apns": START + 5}
    assert await claim(store, clock) == []
    clock.advance(5e-6)
    (soon,) = await claim(store, clock)
    assert (soon.notification_id, soon.expires_at) == ("soon", START + 5 + HOUR)
    assert await store.outbox.next_due() == {"fcm": START + 9, "apns": START + 5}


async def test_the_longest_due_come_first_and_no_more_than_asked_for(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    for delay in (3, 1, 2, 0):
        await push(store, f"n{delay}", terms=PushSchedule(delay, HOUR))
    await push(store, *map(str, range(5)), terms=PushSchedule(4, HOUR))
    clock.advance(1)
    found = [[p.notification_id for p in await claim(store, clock, limit=3)] for _ in range(4)]
    assert found == [["n0", "n1", "n2"], ["n3", "0", "1"], ["2", "3", "4"], []]


# ── at least once ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("without_deadlock")
async def test_a_push_is_leased_to_one_node_alone(store: Store, other: Store, clock: FakeClock) -> None:
    for number in range(4):
        await store.outbox.register(phone(device_id=f"phone {number}", badge=0 if number % 2 else None))
    names = [f"n{number}" for number in range(30)]
    await push(store, *names)
    found: list[tuple[str, str]] = []

    async def work(node: Store) -> None:
        while (await node.outbox.next_due()).get("fcm", START + HOUR) <= START:
            claimed = await claim(node, clock, limit=7)
            found.extend(told(claimed))
            await settle(node, PushState.ACCEPTED, *claimed)

    await asyncio.gather(*(work(node) for node in (store, other) * 2))
    assert sorted(found) == sorted((f"phone {number}", name) for number in range(4) for name in names)


async def test_what_is_not_settled_when_the_lease_ends_is_claimed_again(
    store: Store, other: Store, clock: FakeClock
) -> None:
    await store.outbox.register(phone())
    await push(store, "a")
    (first,) = await claim(store, clock)
    assert await states(store, "a") == [("phone", "sending")]
    assert await store.outbox.next_due() == {"fcm": START + LEASE}
    assert await claim(other, clock) == []
    clock.advance(LEASE / 1e6 - 1e-6)
    assert await claim(other, clock) == []
    clock.advance(1e-6)
    (second,) = await claim(other, clock)
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.push_id, first.push_key) == (second.push_id, second.push_key)


# ── what nobody wants any more ────────────────────────────────────────────────────────────────────────


async def seen(store: Store) -> None:
    await store.mark_seen("ann", ["a"])


async def withdrawn(store: Store) -> None:
    await store.withdraw("ann", "a")


async def replaced(store: Store) -> None:
    await append(store, "ann", Notification("newer", collapse_key="k"))


async def erased(store: Store) -> None:
    await store.erase("ann")


async def removed(store: Store) -> None:
    await store.outbox.unregister("ann", "phone")


async def taken_over(store: Store) -> None:
    await store.outbox.register(phone("bob"))


@pytest.mark.parametrize("happens", [seen, withdrawn, replaced, erased, removed, taken_over])
@pytest.mark.parametrize("when", ["queued", "sending", "retry"])
async def test_what_nobody_wants_any_more_is_never_claimed(
    store: Store, clock: FakeClock, happens: object, when: str
) -> None:
    await store.outbox.register(phone())
    await push(store, "a", collapse_key="k")
    if when != "queued":
        claimed = await claim(store, clock)
        if when == "retry":
            await settle(store, PushState.RETRY, *claimed, due_at=clock.now() + 1)
    await happens(store)  # type: ignore[operator]
    expected = [] if happens is erased else [("phone", "cancelled")]
    assert await states(store, "a") == expected
    clock.advance(LEASE / 1e6)
    assert await claim(store, clock) == []
    assert await states(store, "a") == expected
    assert await store.outbox.next_due() == {}
    assert {(b.state, b.pushes) for b in await store.outbox.backlog()} <= {(PushState.CANCELLED, 1)}


async def test_the_application_may_not_want_it_on_a_network(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="ipad", network="apns"))
    await push(store, "nowhere", push=PushControls(enabled=False))
    await push(store, "not there", push=PushControls(fcm=FCMControls(enabled=False)))
    await push(store, "everywhere", push=PushControls(data={"a": 1}))
    expected = [("ipad", "everywhere"), ("ipad", "not there"), ("phone", "everywhere")]
    assert told(await claim(store, clock)) == expected
    assert await states(store, "nowhere") == [("ipad", "cancelled"), ("phone", "cancelled")]


async def test_what_is_past_its_time_expires(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await push(store, "a", terms=PushSchedule(0, 10))
    await push(store, "b", terms=PushSchedule(0, 11))
    clock.advance(10e-6)
    assert told(await claim(store, clock)) == [("phone", "b")]
    assert await states(store, "a") == [("phone", "expired")]
    clock.advance(LEASE / 1e6)
    assert await claim(store, clock) == []
    assert await states(store, "b") == [("phone", "expired")]


@pytest.mark.parametrize("offline_only", [True, False])
async def test_connected_users_may_be_left_alone(store: Store, clock: FakeClock, offline_only: bool) -> None:
    """A node whose lease lapsed holds no connections."""
    for user_id in ("ann", "bob", "eve"):
        await store.outbox.register(phone(user_id, user_id))
    until = clock.now() + 100
    await store.renew_lease("lives", until, [Presence("ann", "tab", 1, 1), Presence("else", "tab", 1, 1)])
    await store.renew_lease("died", clock.now(), [Presence("bob", "tab", 2, 1)])
    for user_id in ("ann", "bob", "eve"):
        await push(store, "a", user_id=user_id)
    found = await claim(store, clock, offline_only=offline_only)
    kept = [("bob", "a"), ("eve", "a")]
    assert told(found) == (kept if offline_only else [("ann", "a"), *kept])
    state = "cancelled" if offline_only else "sending"
    assert await states(store, "a") == [("ann", state)]


# ── badges ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_badge_is_the_unseen_count_at_that_moment(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await append(store, "ann", "before")
    await push(store, "a", "b")
    assert [p.badge for p in await claim(store, clock)] == [3, 3]
    await store.mark_seen("ann", ["a"])
    clock.advance(LEASE / 1e6)
    assert [(p.notification_id, p.badge) for p in await claim(store, clock)] == [("b", 2)]


async def test_a_counter_of_its_own_is_raised_once_for_each_push(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=5))
    await store.outbox.register(phone(device_id="unseen"))
    await push(store, "a", "b")
    await store.outbox.set_badge("phone", 10)
    found = sorted((p.device.device_id, p.badge) for p in await claim(store, clock))
    assert found == [("phone", 11), ("phone", 12), ("unseen", 2), ("unseen", 2)]
    assert (await store.outbox.device("phone") or phone()).badge == 12
    clock.advance(LEASE / 1e6)
    await push(store, "c")
    again = sorted((p.device.device_id, p.badge, p.attempt) for p in await claim(store, clock))
    assert again[:3] == [("phone", 11, 2), ("phone", 12, 2), ("phone", 13, 1)]
    assert (await store.outbox.device("phone") or phone()).badge == 13
    device = await store.outbox.device("unseen")
    assert device is not None
    assert device.badge is None


async def test_what_is_not_sent_does_not_count(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=0))
    await push(store, "a", "b", "c")
    await store.mark_seen("ann", ["b"])
    assert [(p.notification_id, p.badge) for p in await claim(store, clock)] == [("a", 1), ("c", 2)]


async def badge(store: Store, device_id: str = "phone") -> int | None:
    device = await store.outbox.device(device_id)
    assert device is not None
    return device.badge


async def test_what_was_counted_and_never_sent_counts_no_more(store: Store, clock: FakeClock) -> None:
    """The network was away while its user read: what comes next must not begin where that would have led."""
    await store.outbox.register(phone(badge=0))
    await push(store, "a", "b", "c")
    tried = await claim(store, clock)
    for each in tried:
        await settle(store, PushState.RETRY, each, due_at=clock.now())
    assert await badge(store) == 3
    await store.mark_seen("ann", ["a", "b"])
    await push(store, "d")
    clock.advance(1)
    assert [(p.notification_id, p.badge) for p in await claim(store, clock)] == [("c", 3), ("d", 2)]
    assert await badge(store) == 2


async def test_what_is_too_late_or_can_never_be_sent_counts_no_more(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=5))
    await push(store, "late", "large", "sent")
    late, large, sent = await claim(store, clock)
    await settle(store, PushState.RETRY, late, due_at=clock.now() + HOUR)
    await settle(store, PushState.ACCEPTED, sent)
    assert await badge(store) == 8
    for _ in range(2):  # the second is a late word, and changes nothing
        await settle(store, PushState.FAILED, large)
        assert await badge(store) == 7
    clock.advance(2 * HOUR / 1e6)
    assert await claim(store, clock) == []
    assert await states(store, "late") == [("phone", "expired")]
    assert await badge(store) == 6


async def test_a_failed_push_lowers_no_other_counter(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone())
    await store.outbox.register(phone(device_id="tablet", badge=4))
    await push(store, "a")
    await settle(store, PushState.FAILED, *await claim(store, clock))
    assert (await badge(store), await badge(store, "tablet")) == (None, 4)
    await store.outbox.set_badge("tablet", 0)
    await push(store, "b")
    await store.outbox.set_badge("tablet", 0)
    await settle(store, PushState.FAILED, *await claim(store, clock))
    assert await badge(store, "tablet") == 0


@pytest.mark.usefixtures("without_deadlock")
async def test_two_nodes_raise_one_counter(store: Store, other: Store, clock: FakeClock) -> None:
    """No number twice, none left out, whoever claims how many at the same time."""
    await store.outbox.register(phone(badge=0))
    for number in range(20):
        await push(store, f"n{number}")
    badges: list[int] = []
    while len(badges) < 20:
        claims = [claim(node, clock, limit=3) for node in (store, other)]
        badges += [p.badge for found in await asyncio.gather(*claims) for p in found]
    assert sorted(badges) == list(range(1, 21))
    device = await other.outbox.device("phone")
    assert device is not None
    assert device.badge == 20


async def test_a_counter_is_its_own_devices(store: Store, clock: FakeClock) -> None:
    await store.outbox.register(phone(badge=1))
    await store.outbox.register(phone("bob", "tablet", badge=7))
    await push(store, "a")
    await accept(store, clock)
    device = await store.outbox.device("tablet")
    assert device is not None
    assert device.badge == 7
