"""The hub: who is here, by user and by device."""

from __future__ import annotations

from pns.contracts.store import Presence
from pns.live.hub import Hub
from pns.model.device import OwnedDevice
from tests.engine import StubConnection


def test_attach_and_detach_are_idempotent() -> None:
    hub, phone = Hub(), StubConnection("alice")
    for _ in range(2):
        hub.attach(phone.connection)
    assert (len(hub), hub.user_ids, "alice" in hub) == (1, ["alice"], True)
    for _ in range(2):
        hub.detach(phone.connection)
    assert (len(hub), hub.user_ids, "alice" in hub) == (0, [], False)


def test_iterating_survives_comings_and_goings() -> None:
    hub = Hub()
    some = [StubConnection(f"user{number}") for number in range(10)]
    for one in some:
        hub.attach(one.connection)
    for connection in hub:
        hub.detach(connection)
        hub.attach(StubConnection("late").connection)
    assert hub.user_ids == ["late"]


def test_presences_count_connections_by_device() -> None:
    hub = Hub()
    for device, since in (("phone", 5), ("phone", 3), ("desk", 4)):
        hub.attach(StubConnection("alice", device, since).connection)
    assert sorted(hub.presences("alice")) == [
        Presence("alice", "desk", 1, 4),
        Presence("alice", "phone", 2, 3),
    ]
    assert hub.presences("bob") == []
    moved = hub.take_moved()
    assert moved == {OwnedDevice("phone", "alice"), OwnedDevice("desk", "alice")}
    assert not hub.has_moved
