"""Presence: what a node writes of its devices, when, and what happens when it could not."""

from __future__ import annotations

import pytest

from pns.contracts.store import Presence
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
