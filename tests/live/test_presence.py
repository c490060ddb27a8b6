"""Presence: what a node writes of its devices, when, and what happens when it could not."""

from __future__ import annotations

import pytest

from pns.contracts.store import Presence, Visitor
from pns.live.hub import Hub
from pns.live.presence import LEASE_SECONDS, RENEW_SECONDS, PresenceReport
from pns.testing.clock import FakeClock
from tests.engine import StubConnection, StubStore


@pytest.fixture
def hub() -> Hub:
    return Hub()


async def test_what_moved_is_written_once(hub: Hub, clock: FakeClock) -> None:
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    phone = StubConnection("alice", "phone")
    hub.attach(phone.connection)
    await report.tick()
    await report.tick()
    assert store.written == [("node", [Presence("alice", "phone", 1, 1)])]
    hub.detach(phone.connection)
    await report.tick()
    assert store.written[1:] == [("node", [Presence("alice", "phone", 0, 0)])]


async def test_the_lease_is_renewed_in_silence(hub: Hub, clock: FakeClock) -> None:
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    await report.tick()
    clock.advance(RENEW_SECONDS)
    await report.tick()
    assert store.written == [("node", []), ("node", [])]


async def test_nothing_is_forgotten_while_the_store_is_away(hub: Hub, clock: FakeClock) -> None:
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    hub.attach(StubConnection("alice", "phone").connection)
    store.away = True
    await report.tick()
    store.away = False
    await report.tick()
    assert store.written == [("node", [Presence("alice", "phone", 1, 1)])]


async def test_after_a_lapsed_lease_everything_is_said_again(hub: Hub, clock: FakeClock) -> None:
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    hub.attach(StubConnection("alice", "phone").connection)
    await report.tick()
    clock.advance(LEASE_SECONDS)
    await report.tick()
    assert store.written[0] == store.written[1]


async def test_a_lease_that_may_lapse_under_a_slow_write_counts_as_lapsed(hub: Hub, clock: FakeClock) -> None:
    """Another node may clear this one away between the look at the clock and the commit."""
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    hub.attach(StubConnection("alice", "phone").connection)
    await report.tick()
    clock.advance(LEASE_SECONDS - 1)
    await report.tick()
    assert store.written[0] == store.written[1]


async def test_a_machine_that_slept_says_everything_again(hub: Hub, clock: FakeClock) -> None:
    """Meanwhile the monotonic clock stood still, and the lease lapsed."""
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    hub.attach(StubConnection("alice", "phone").connection)
    await report.tick()
    clock.jump(LEASE_SECONDS)
    await report.tick()
    assert store.written[1:] == store.written[:1]


async def test_devices_of_all_nodes_are_merged(hub: Hub, clock: FakeClock) -> None:
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    hub.attach(StubConnection("alice", "phone", since=9).connection)
    store.elsewhere = [Presence("alice", "phone", 2, 3), Presence("alice", "desk", 1, 5)]
    assert await report.devices("alice") == [
        Presence("alice", "phone", 3, 3),
        Presence("alice", "desk", 1, 5),
    ]


async def test_the_end_is_written_and_a_missing_store_does_not_matter(hub: Hub, clock: FakeClock) -> None:
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    await report.end()
    assert store.written == [], "never said anything"
    await report.tick()
    await report.end()
    assert store.written[-1] == ("node", "ended")
    store.away = True
    await report.end()


async def test_who_comes_is_made_known_once(hub: Hub, clock: FakeClock) -> None:
    """However short the connection was, and without one; of two logins the newer counts."""
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    for device, revocation in (("phone", 3), ("desk", 7), ("tab", 5)):
        gone = StubConnection("alice", device, revocation=revocation)
        hub.attach(gone.connection)
        hub.detach(gone.connection)
    hub.visit("bob", 2)
    store.away = True
    await report.tick()
    assert store.visitors == []
    store.away = False
    await report.tick()
    assert store.visitors == [Visitor("alice", 7), Visitor("bob", 2)]
    await report.tick()
    assert len(store.visitors) == 2


async def test_many_visitors_are_told_in_several_writes(
    hub: Hub, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.live.presence.CHUNK", 3)
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    hub.attach(StubConnection("user 0").connection)
    for number in range(7):
        hub.visit(f"user {number}", 0)
    await report.tick()
    assert [user_id for user_id, _ in store.visitors] == [f"user {number}" for number in range(7)]
    assert [len(presences) for _, presences in store.written] == [1, 0, 0]  # type: ignore[arg-type]


async def test_who_stays_or_leaves_is_told_again_once_a_day(hub: Hub, clock: FakeClock) -> None:
    """The store notes a day's connections, so whoever stays for weeks was connected today."""
    store = StubStore()
    report = PresenceReport("node", hub, store.store, clock=clock)
    stays, leaves = StubConnection("alice"), StubConnection("bob")
    hub.attach(stays.connection)
    hub.attach(leaves.connection)
    await report.tick()
    clock.jump(3600)
    hub.detach(leaves.connection)
    await report.tick()
    clock.jump(86_400)
    await report.tick()
    await report.tick()
    assert [user_id for user_id, _ in store.visitors] == ["alice", "bob", "bob", "alice"]
