"""The Outbox contract: devices at push networks, and pushes on their way to them. A part of the Store.

Every implementation keeps the promises of store.py, and more:

- **In the notification's own transaction.** `Store.append` with terms enqueues a push for each device of the
  user at this moment. Notification and pushes are durable together, or neither is stored.
- **At least once.** `claim` leases pushes to one node. A push without settlement at the end of the lease is
  claimed again. `claim` returns no push of a notification that was seen, withdrawn, replaced, expired or
  erased, or whose category's pushes the user turned off, and no push for a removed device. Such a push is
  settled as cancelled.
- **The last user to register an address owns the address**, atomically. Pushes that waited for the address
  under the former owner are cancelled.
- **A late settlement never removes a new registration.** A device is removed only with the registration of
  the claim.

Times are microseconds since 1970. An unknown user or device has nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pns.model.device import Device
from pns.model.push import Push, PushState, PushStatus


class Settlement(NamedTuple):
    """The outcome of a claimed push. `due_at`: for RETRY, the time of the next attempt. `sent`: False when
    the push was put off before an attempt. `keys`: replace those of the device, unless the device was
    registered again since `push` was claimed.

    DEVICE_INVALID removes the device too, unless the device was registered again since `push` was claimed.
    Then the push becomes due at once, for the new registration.
    """

    push: Push
    state: PushState
    reason: str = ""
    provider_id: str | None = None
    due_at: int = 0
    sent: bool = True
    keys: Mapping[str, str] | None = None


class Claim(NamedTuple):
    """A node's claim. `until`: the end of the lease. `offline_only`: cancel pushes for connected users."""

    gateway: str
    limit: int
    until: int
    offline_only: bool


class Backlog(NamedTuple):
    """The number of a gateway's pushes in one state. `oldest`: the due time of the first waiting push.

    `reason`: a reason of one of these pushes, if any has a reason.
    """

    gateway: str
    state: PushState
    pushes: int
    oldest: int | None
    reason: str | None = None


class Devices(Protocol):
    """Devices at push networks. The module's docstring holds the promises of every method."""

    async def register(self, device: Device) -> Device:
        """Keep `device` and return the kept device. The store knows the user from now on.

        App and environment do not matter here. An address that the same user registered at the same network
        is refreshed, and the device keeps its `device_id`. An address of another user is taken over under the
        new `device_id`. A new address under a `device_id` of the same user and network replaces the old
        address. For any other taken `device_id`, the returned device has a new `device_id`.
        """

    async def unregister(self, user_id: str, device_id: str) -> Device | None:
        """Remove a device of the user. Returns the device, or None when the user has no such device."""

    async def devices(self, user_id: str) -> list[Device]:
        """The user's devices at push networks, oldest registration first."""

    async def device(self, device_id: str) -> Device | None:
        """The device of this id, of any user."""

    async def device_at(self, network: str, address: str) -> Device | None:
        """The device that is registered with this address."""

    async def all_devices(self, after: str, limit: int) -> list[Device]:
        """Devices in the order of their ids, after the id `after` ("": from the first)."""

    async def set_badge(self, device_id: str, badge: int, *, user_id: str | None = None) -> bool:
        """The device counts for itself, from `badge`. Returns False for a device unknown (to the user)."""

    async def regateway(self, source: str, target: str, network: str, *, limit: int) -> int:
        """Move at most `limit` devices of `network`, with their waiting pushes, from `source` to `target`.

        Returns the number of moved devices. Fewer than `limit` means: no device is left.
        """


class Outbox(Devices, Protocol):
    """Devices, and pushes on their way. The module's docstring holds the promises of every method."""

    async def next_due(self) -> Mapping[str, int]:
        """Gateway → the time at which the first waiting push is due. Cheap. The end of a lease counts too."""

    async def claim(self, claim: Claim) -> list[Push]:
        """Lease at most `limit` due pushes, longest due first. May return fewer pushes than are due.

        The same commit cancels pushes that are not wanted any more, and expires pushes past their time. The
        own counter of a device is raised at the first attempt of a push, and lowered for a counted push that
        is dropped.
        """

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Record the outcomes of claimed pushes, in one commit."""

    async def pushes(self, user_id: str, notification_id: str) -> list[PushStatus]:
        """The pushes of one notification, in the order of `device_id`. SEEN and CANCELLED follow the inbox at
        once. Pushes of an earlier notification with the same id come first.
        """

    async def still_unseen(self, user_id: str, ids: Sequence[str]) -> set[str]:
        """The ids among `ids` whose notifications are in the user's inbox, unseen."""

    async def dismiss(self, user_id: str, expires_at: int) -> int:
        """Enqueue dismissals of notifications that were seen or removed since the push to the user's devices.

        Each device has as many pushes as the ids need, the newest ids first: `dismissed` of a push fits into
        the payload of every network. A dismissal expires at `expires_at`. Returns the number of enqueued
        pushes. After a number above 0 you must call `dismiss` again, for one call is bounded. Safe to repeat.
        """

    async def stale(self, after: int, limit: int) -> tuple[list[str], int]:
        """Users with something to dismiss, found among `limit` accepted pushes.

        `after`: the end of the call before, 0 to begin. Returns the end of this call as well, 0 at the end.
        """

    async def backlog(self) -> list[Backlog]:
        """The content of the outbox, by gateway and state."""

    async def prune_pushes(self, *, settled_before: int, limit: int) -> int:
        """Remove at most `limit` pushes settled before, and expired devices; returns the number of rows."""
