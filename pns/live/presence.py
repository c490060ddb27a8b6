"""Which devices are connected where: writes this node's devices to the store under a lease, and reads the
devices of the other nodes. The same write makes a user known who came for the first time.

A background loop writes, a second late at most. A store that cannot be written keeps no device out. Device
lists and limits across nodes are therefore approximate. On one node they are exact.
"""

from __future__ import annotations

from collections.abc import Iterable

from pns.contracts.store import Presence, Store, Visitor
from pns.errors import Overloaded, StoreUnavailable
from pns.live.hub import Hub
from pns.model.device import OwnedDevice
from pns.model.timestamp import DAY, SECOND
from pns.runtime.clock import Clock

LEASE_SECONDS = 30
RENEW_SECONDS = 10
CHUNK = 1000
"""Presences, and visitors, in one write."""


class PresenceReport:
    """Keeps the store's list of this node's devices."""

    def __init__(self, node_id: str, hub: Hub, store: Store, *, clock: Clock) -> None:
        self._node_id = node_id
        self._hub = hub
        self._store = store
        self._clock = clock
        self._renewed: float | None = None
        self._until = 0
        self._day = 0

    async def tick(self) -> None:
        """Write what moved since the last tick, and renew the lease when it is time."""
        now = self._clock.monotonic()
        if self._clock.now() // DAY != self._day:
            self._hub.visit_all()  # the store notes a day's connections
            self._day = self._clock.now() // DAY
        lapsing = self._clock.now() >= self._until - RENEW_SECONDS * SECOND
        if lapsing:
            # Another node may clear this node away before the write is done: report all devices again.
            self._hub.move_all()
        elif not self._has_news and self._renewed is not None and now - self._renewed < RENEW_SECONDS:
            return
        moved, visitors = self._hub.take_moved(), self._hub.take_visitors()
        try:
            await self._write(moved, visitors)
        except (StoreUnavailable, Overloaded):
            self._hub.move_again(moved)
            for visitor in visitors:
                self._hub.visit(*visitor)
            return
        self._renewed = now

    @property
    def _has_news(self) -> bool:
        return self._hub.has_moved or self._hub.has_visitors

    async def end(self) -> None:
        """Take this node out of the store; without a store, its lease lapses by itself."""
        if self._renewed is None:
            return
        try:
            await self._store.end_lease(self._node_id)
        except (StoreUnavailable, Overloaded):
            return

    async def devices(self, user_id: str) -> list[Presence]:
        """The user's devices on all nodes, a device that is connected to several counted together."""
        return _merged([*self._hub.presences(user_id), *await self.elsewhere(user_id)])

    async def elsewhere(self, user_id: str) -> list[Presence]:
        """The user's devices on the other nodes."""
        return await self._store.presences(user_id, except_node=self._node_id)

    async def _write(self, moved: set[OwnedDevice], visitors: list[Visitor]) -> None:
        until = self._clock.now() + LEASE_SECONDS * SECOND
        presences = self._describe(moved)
        for start in range(0, max(1, len(presences), len(visitors)), CHUNK):
            some = slice(start, start + CHUNK)
            await self._store.renew_lease(self._node_id, until, presences[some], visitors=visitors[some])
        self._until = until

    def _describe(self, moved: set[OwnedDevice]) -> list[Presence]:
        here = {
            OwnedDevice(presence.device_id, presence.user_id): presence
            for user_id in {device.user_id for device in moved}
            for presence in self._hub.presences(user_id)
        }
        return [here.get(device) or _gone(device) for device in moved]


def _gone(device: OwnedDevice) -> Presence:
    return Presence(device.user_id, device.device_id, connections=0, since=0)


def _merged(presences: Iterable[Presence]) -> list[Presence]:
    devices: dict[str, Presence] = {}
    for presence in presences:
        known = devices.get(presence.device_id)
        devices[presence.device_id] = (
            presence
            if known is None
            else presence._replace(
                connections=presence.connections + known.connections, since=min(presence.since, known.since)
            )
        )
    return sorted(devices.values(), key=lambda presence: (presence.since, presence.device_id))
