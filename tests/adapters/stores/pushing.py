"""What the tests of the outbox have in common: devices, and pushes that are enqueued, claimed and settled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pns.contracts.outbox import Claim, Settlement
from pns.contracts.store import Appended, Store
from pns.model.device import Device
from pns.model.notification import Notification
from pns.model.push import Push, PushSchedule, PushState
from pns.testing.clock import FakeClock

from .conftest import submission

SECOND = 1_000_000
HOUR = 3600 * SECOND
LEASE = 60 * SECOND
TERMS = PushSchedule(delay=0, lifetime=HOUR)
START = FakeClock().now()


def phone(user_id: str = "ann", device_id: str = "phone", **more: Any) -> Device:
    """A device at FCM, whose address is its own unless it is given."""
    fields = {
        "network": "fcm",
        "gateway": "fcm",
        "address": f"address of {device_id}",
        "registered_at": START,
    }
    return Device(user_id=user_id, device_id=device_id, **{**fields, **more})


async def push(
    store: Store, *names: str, user_id: str = "ann", terms: PushSchedule = TERMS, **more: Any
) -> Appended:
    """Append notifications whose id and data are the same word, and enqueue their pushes."""
    notifications = [Notification(name, notification_id=name, **more) for name in names]
    return await store.append([submission(user_id, *notifications)], terms)


async def claim(
    store: Store,
    clock: FakeClock,
    *,
    gateway: str = "fcm",
    limit: int = 100,
    lease: int = LEASE,
    offline_only: bool = False,
) -> list[Push]:
    return await store.outbox.claim(Claim(gateway, limit, clock.now() + lease, offline_only))


async def settle(store: Store, state: PushState, *pushes: Push, **more: Any) -> None:
    await store.outbox.settle([Settlement(push, state, **more) for push in pushes])


async def accept(store: Store, clock: FakeClock, **more: Any) -> list[Push]:
    """Claim what is due and settle it as accepted."""
    claimed = await claim(store, clock, **more)
    await settle(store, PushState.ACCEPTED, *claimed)
    return claimed


async def states(store: Store, notification_id: str, *, user_id: str = "ann") -> list[tuple[str, str]]:
    """Device and state of the pushes of a notification."""
    found = await store.outbox.pushes(user_id, notification_id)
    return [(status.device_id, status.state) for status in found]


def told(pushes: Sequence[Push]) -> list[tuple[str, str]]:
    """Device and notification of each, in the order of both."""
    return sorted((push.device.device_id, push.notification_id) for push in pushes)
