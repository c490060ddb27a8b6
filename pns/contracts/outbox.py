"""The Outbox contract: devices at push networks, and pushes on their way to them. A part of the Store.

What every implementation promises, beside what store.py does:

- **In the notification's own transaction.** `Store.append` with terms enqueues a push for each device that
  its user has at that moment; both are durable, or neither.
- **At least once.** `claim` leases pushes to one node; what is not settled when the lease ends is claimed
  again. A push whose notification was seen, withdrawn, replaced, expired or erased, or whose device was
  removed, is never claimed: it is settled as cancelled instead.
- **The last user to install an address owns it**, atomically; pushes that waited for it under its former
  owner are cancelled.
- **An old word never kills a new registration**: a device is removed only as it was when it was claimed.

Times are microseconds since 1970. A user or device that the store never heard of has nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pns.model.device import Device
from pns.model.push import Push, PushState, PushStatus


class Settlement(NamedTuple):
    """What became of a claimed push. `due_at`: for RETRY, when to try again. `sent`: whether this was an
    attempt; what was put off before is not.

    DEVICE_INVALID removes the device too, unless it was registered again since `push` was claimed; then the
    push becomes due at once, for the new registration.
    """

    push: Push
    state: PushState
    reason: str = ""
    provider_id: str | None = None
    due_at: int = 0
    sent: bool = True


class Claim(NamedTuple):
    """What a node takes. `until`: when its lease ends. `offline_only`: cancel what is for connected users."""

    gateway: str
    limit: int
    until: int
    offline_only: bool


class Backlog(NamedTuple):
    """How many pushes of a gateway are in a state, and of those that wait, when the first is or was due.

    `reason`: why one of them is in this state, where something said so.
    """

    gateway: str
    state: PushState
    pushes: int
    oldest: int | None
    reason: str | None = None


class Outbox(Protocol):
    """See the module's docstring for what every method promises."""

    # ── devices ───────────────────────────────────────────────────────────────────────────────────────

    async def install(self, device: Device) -> Device:
        """Keep `device` and return it as it is kept; its user is known from then on.

        The same address at the same network, whatever app and environment it named: of the same user, it is
        refreshed and keeps its `device_id`; of another, it is taken over under the new `device_id`. A new
        address under a `device_id` that the user has for the same network replaces the old one. A
        `device_id` that is taken otherwise is answered with a new one.
        """

    async def uninstall(self, user_id: str, device_id: str) -> Device | None:
        """Remove a device of the user; returns it, or None when the user has no such device."""

    async def devices(self, user_id: str) -> list[Device]:
        """The user's devices at push networks, oldest registration first."""

    async def device(self, device_id: str) -> Device | None:
        """The device of this id, whoever owns it."""

    async def device_at(self, network: str, address: str) -> Device | None:
        """Whoever is registered with this address."""

    async def all_devices(self, after: str, limit: int) -> list[Device]:
        """Devices in the order of their ids, after one of them ("": from the first)."""

    async def set_badge(self, device_id: str, badge: int, *, user_id: str | None = None) -> bool:
        """From now on the device counts for itself, from `badge`; False when there is none (of the user)."""

    async def regateway(self, source: str, target: str, network: str, limit: int) -> int:
        """Move at most `limit` devices of `network`, and all that waits for them, from `source` to `target`.

        Returns how many were moved; fewer than `limit`: none is left.
        """

    # ── pushes ────────────────────────────────────────────────────────────────────────────────────────

    async def next_due(self) -> Mapping[str, int]:
        """Gateway → when its first waiting push is or was due. Cheap; leases that end count too."""

    async def claim(self, claim: Claim) -> list[Push]:
        """Lease what is due, longest due first; at most `limit`.

        In the same commit: what nobody wants any more is cancelled, what is past its time expires, and a
        device with a counter of its own has it raised at the first attempt, and lowered for what was counted
        and is dropped. May return fewer than are due.
        """

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Record what became of claimed pushes, in one commit."""

    async def pushes(self, user_id: str, notification_id: str) -> list[PushStatus]:
        """The pushes of one notification, in the order of `device_id`; SEEN and CANCELLED follow the inbox at
        once. Those of an earlier notification of the same id come first.
        """

    async def dismiss(self, user_id: str, expires_at: int) -> int:
        """Enqueue word of what was seen or removed since it was pushed to the user's devices.

        For each device as many pushes as the ids need, the newest ids first: what stands in `dismissed` fits
        into what any network takes. They are good until `expires_at`. Returns how many were enqueued; unless
        that is 0, there may be more than one call takes, and the next goes on. Safe to repeat.
        """

    async def stale(self, after: int, limit: int) -> tuple[list[str], int]:
        """Users for whom `dismiss` has something to do, found among `limit` accepted pushes.

        `after`: where the last look ended, 0 to begin; returns where this one ended, 0 at the end.
        """

    async def backlog(self) -> list[Backlog]:
        """What is in the outbox, by gateway and state."""

    async def prune_pushes(self, *, settled_before: int, limit: int) -> int:
        """Remove at most `limit` settled pushes of before, and devices past their time; returns how many."""
