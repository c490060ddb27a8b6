"""States, revocations, erasure, and who is connected where."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pns.contracts.audiences import EVERYBODY
from pns.contracts.store import EVERY_DEVICE, Presence, State, Store, Visitor
from pns.testing.clock import FakeClock

from .conftest import append, count, inbox, named, unseen

HOUR = 3600 * 1_000_000


async def test_a_user_nobody_heard_of_is_a_user_with_nothing(store: Store) -> None:
    assert await store.states(["42", "7"]) == {"42": State(), "7": State()}
    assert await store.states([]) == {}
    assert State() == State(user_key=0, version=0, unseen=0, revocations={})
    assert await store.states(["42"]) == {"42": State()}


async def test_states_of_more_users_than_one_question_holds(store: Store) -> None:
    users = [f"u{i}" for i in range(1_201)]
    for user_id in users[::100]:
        await append(store, user_id, "a", "b")
    states = await store.states(users)
    assert list(states) == users
    assert [user for user, state in states.items() if state.unseen == 2] == users[::100]


async def test_states_hold_the_newest_revocations(store: Store) -> None:
    await append(store, "42", "a")
    first = await store.revoke("42", "phone")
    await store.revoke("42", "laptop")
    second = await store.revoke("42", "phone")
    everywhere = await store.revoke("42")
    await store.revoke("unknown", "phone")
    state = (await store.states(["42", "7"]))["42"]
    assert first < second < everywhere
    assert dict(state.revocations) == {"phone": second, "laptop": first + 1, EVERY_DEVICE: everywhere}
    assert state.revoked("tablet") == everywhere
    assert state.unseen == 1
    unknown = (await store.states(["unknown"]))["unknown"]
    assert (unknown.user_key, unknown.revoked("phone")) == (0, everywhere + 1)


async def test_revocations_are_numbered_upwards(store: Store, clock: FakeClock) -> None:
    assert await store.newest_revocation() == 0
    numbers = [await store.revoke("42"), await store.revoke("42"), await store.revoke("7", "phone")]
    assert numbers == sorted(set(numbers))
    assert await store.newest_revocation() == numbers[-1]
    clock.jump(-1_000)
    assert await store.revoke("8") > numbers[-1]


async def test_old_revocations_are_pruned_and_their_numbers_never_come_back(
    store: Store, clock: FakeClock
) -> None:
    newest = [await store.revoke("42"), await store.revoke("7")][-1]
    clock.advance(24 * 3600)
    assert await store.prune(seen_before=None, limit=10) == 0
    clock.advance(1)
    assert await store.prune(seen_before=None, limit=10) == 2
    assert (await store.states(["7"]))["7"] == State()
    assert await store.newest_revocation() == newest
    assert await store.revoke("42") == newest + 1


# ── erasure ───────────────────────────────────────────────────────────────────────────────────────────


async def test_erasure_leaves_nothing_but_a_revocation(store: Store) -> None:
    for _ in range(2):
        await append(store, "42", *map(str, range(700)))
    await append(store, "7", "theirs")
    before = await store.newest_revocation()
    await store.erase("42")
    state = (await store.states(["42"]))["42"]
    assert (state.user_key, state.version, state.unseen) == (0, 0, 0)
    assert state.revoked("phone") == await store.newest_revocation() > before
    assert await inbox(store, "42") == []
    assert await inbox(store, "7") == ["theirs"]
    assert await store.prune(seen_before=None, limit=100) == 0


async def test_erasing_an_unknown_user_is_a_revocation_all_the_same(store: Store) -> None:
    await store.erase("nobody")
    assert (await store.states(["nobody"]))["nobody"].revoked("any") == await store.newest_revocation() == 1


async def test_who_was_erased_and_comes_back_is_somebody_new(store: Store) -> None:
    await named(store, "42", "a", "b")
    page = await store.unseen("42", limit=10, max_bytes=1000)
    old = (await store.states(["42"]))["42"]
    await store.erase("42")
    await named(store, "42", "a", "c", "d")
    new = (await store.states(["42"]))["42"]
    assert new.user_key > old.user_key
    assert await store.mark_sent_seen(page.user_key, [item.seq for item in page.items]) == 0
    assert await unseen(store, "42") == ["a", "c", "d"]
    assert new.unseen == await count(store, "42") == 3


async def test_a_key_is_not_given_out_again_after_the_newest_user_was_erased(store: Store) -> None:
    keys = []
    for _ in range(3):
        await append(store, "42", "a")
        keys.append((await store.states(["42"]))["42"].user_key)
        await store.erase("42")
    assert keys == sorted(set(keys))


async def test_a_mark_under_way_of_an_erased_user_changes_nothing(store: Store) -> None:
    for _ in range(3):
        await append(store, "42", *map(str, range(1_000)))
    page = await store.unseen("42", limit=5_000, max_bytes=2**30)
    seqs = [item.seq for item in page.items]
    marking = [
        asyncio.create_task(store.mark_all_seen("42")),
        asyncio.create_task(store.erase("42")),
        asyncio.create_task(store.mark_sent_seen(page.user_key, seqs)),
        asyncio.create_task(append(store, "42", "new")),
    ]
    await asyncio.gather(*marking)
    assert await unseen(store, "42") == ["new"]
    assert await count(store, "42") == 1
    assert (await store.states(["42"]))["42"].version == 1


# ── leases ────────────────────────────────────────────────────────────────────────────────────────────


async def test_presences_are_those_of_the_other_living_nodes(store: Store, clock: FakeClock) -> None:
    phone = Presence("42", "phone", 2, clock.now() - 5)
    laptop = Presence("42", "laptop", 1, clock.now() - 9)
    await store.renew_lease("node a", clock.now() + HOUR, [phone, Presence("7", "phone", 1, 0)])
    await store.renew_lease("node b", clock.now() + 2 * HOUR, [laptop])
    assert await store.presences("42", except_node="") == [laptop, phone]
    assert await store.presences("42", except_node="node a") == [laptop]
    assert await store.presences("8", except_node="") == []
    clock.advance(3600)
    assert await store.presences("42", except_node="") == [laptop]


async def test_a_renewed_lease_keeps_adds_changes_and_drops(store: Store, clock: FakeClock) -> None:
    until = clock.now() + HOUR
    kept, changed, gone = (Presence("42", device, 1, 1) for device in ("kept", "changed", "gone"))
    await store.renew_lease("a", until, [kept, changed, gone])
    await store.renew_lease(
        "a", until, [changed._replace(connections=3, since=2), gone._replace(connections=0)]
    )
    await store.renew_lease("a", until, [])
    found = await store.presences("42", except_node="")
    assert found == [kept, changed._replace(connections=3, since=2)]


async def test_a_node_that_ends_is_forgotten(store: Store, clock: FakeClock) -> None:
    await store.renew_lease("a", clock.now() + HOUR, [Presence("42", "phone", 1, 1)])
    await store.renew_lease("b", clock.now() + HOUR, [Presence("42", "laptop", 1, 1)])
    await store.end_lease("a")
    await store.end_lease("never was")
    assert [p.device_id for p in await store.presences("42", except_node="")] == ["laptop"]
    await store.renew_lease("a", clock.now() + HOUR, [])
    assert len(await store.presences("42", except_node="")) == 1


async def test_who_comes_is_known_from_then_on(store: Store, other: Store, clock: FakeClock) -> None:
    """Together with presences or without, once for all nodes; a user with something stays as before."""
    await append(store, "notified", "a")
    before = (await store.states(["notified"]))["notified"]
    came = [Visitor(user_id, 0) for user_id in ("Zoë", "notified", "ann", "'", "ann 2")]
    for node in (store, other, store):
        await node.renew_lease("a", clock.now() + HOUR, [Presence("ann", "phone", 1, 1)], visitors=came)
    known = await everybody(store)
    assert sorted(known) == sorted(visitor.user_id for visitor in came)
    states = await store.states(known)
    assert all(states[user_id][1:3] == (0, 0) for user_id in known if user_id != "notified")
    assert states["notified"] == before
    assert [p.device_id for p in await store.presences("ann", except_node="")] == ["phone"]
    await append(other, "ann", "first")
    assert (await store.states(["ann"]))["ann"][:3] == (states["ann"].user_key, 1, 1)


async def test_asking_makes_nobody_known(store: Store, clock: FakeClock) -> None:
    for user_id in ("read", "marked", "revoked"):
        await store.states([user_id])
    await store.mark_all_seen("marked")
    await store.withdraw("marked", "x")
    await store.revoke("revoked")
    await store.renew_lease("a", clock.now() + HOUR, [Presence("gone", "phone", 0, 0)])
    assert await everybody(store) == []


async def test_who_was_erased_after_the_login_stays_unknown(store: Store, clock: FakeClock) -> None:
    """A node may tell of a connection that it is about to close."""
    await append(store, "ann", "a")
    login = Visitor("ann", await store.newest_revocation())
    await store.erase("ann")
    for _ in range(2):
        await store.renew_lease("a", clock.now() + HOUR, [Presence("ann", "phone", 1, 1)], visitors=[login])
        assert await everybody(store) == []
        await store.revoke("somebody else")
    await store.revoke("ann", "one device")
    again = Visitor("ann", await store.newest_revocation() - 1)
    await store.renew_lease("a", clock.now() + HOUR, [], visitors=[again, Visitor("bob", 0)])
    assert sorted(await everybody(store)) == ["ann", "bob"], "logged in anew; one device is not the user"


@pytest.mark.usefixtures("without_deadlock")
async def test_coming_crosses_notifying_and_erasing(store: Store, other: Store, clock: FakeClock) -> None:
    users = [f"user {number}" for number in range(6)]
    for _ in range(5):
        number = await store.newest_revocation()
        visitors = [Visitor(user_id, number) for user_id in users]
        await asyncio.gather(
            *(
                s.renew_lease("a", clock.now() + HOUR, [], visitors=visitors[::way])
                for s, way in ((store, 1), (other, -1))
            ),
            *(append(other, user_id, "x") for user_id in users[:3]),
            *(store.erase(user_id) for user_id in users[3:]),
        )
        known = await everybody(store)
        assert len(known) == len(set(known))
        assert set(known) >= set(users[:3])
        await store.renew_lease("a", clock.now() + HOUR, [], visitors=visitors)
        assert sorted(await everybody(store)) == users[:3], "whichever was first, the erased are unknown"
        for user_id in users[:3]:
            await other.erase(user_id)


async def everybody(store: Store) -> list[str]:
    return [user_id for _, user_id in await store.audiences.subscribers(EVERYBODY, after=0, limit=100)]


@pytest.mark.parametrize("limit", [1, 100])
async def test_nodes_that_died_are_pruned(store: Store, clock: FakeClock, limit: int) -> None:
    there = [Presence(str(i), "phone", 1, 1) for i in range(3)]
    await store.renew_lease("dead", clock.now() + HOUR, there)
    await store.renew_lease("alive", clock.now() + 2 * HOUR, [Presence("0", "phone", 1, 1)])
    clock.advance(3600)
    total = 0
    while removed := await store.prune(seen_before=None, limit=limit):
        assert removed <= limit
        total += removed
    assert total == 4
    await store.renew_lease("dead", clock.now() + HOUR, [])
    assert len(await store.presences("0", except_node="")) == 1


# ── the rest ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_secret_is_one_for_all_nodes(store: Store, other: Store) -> None:
    offered = await asyncio.gather(*(s.secret() for s in (store, other) * 5))
    assert len(set(offered)) == 1
    assert len(offered[0]) >= 32
    assert await other.secret() == offered[0]


async def test_the_key_of_web_push_is_one_for_all_nodes(store: Store, other: Store) -> None:
    offered = await asyncio.gather(*(s.vapid_key() for s in (store, other) * 5))
    assert len(set(offered)) == 1
    assert await other.vapid_key() == offered[0] != await store.secret()
    number = int.from_bytes(urlsafe_b64decode(offered[0] + "="))
    ec.derive_private_key(number, ec.SECP256R1())
