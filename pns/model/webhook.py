"""The values of webhooks: events about users for the application, and an event on its way.

Values only. The store writes an event in the transaction of its cause (contracts/webhooks.py), pns/webhook/
sends the event, and a receiver takes it (contracts/receiver.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Generic, NamedTuple, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from pns.model.messages import NewItem
from pns.model.notification import StoredNotification
from pns.model.push import WebhookControls
from pns.model.timestamp import SECOND, Timestamp

MOST_ITEMS = 100
"""Notifications in an event."""
MOST_ITEM_BYTES = 262_144
"""Bytes of notification_data in an event. The first notification fits in any case."""
MOST_IDS = 500
"""Notification ids in an event; more ids go into further events."""
NEVER = -1
"""As the time after which a notification may be told: never."""


class WebhookKind(StrEnum):
    """The kind of an event, as in the setting `webhook.events`."""

    UNSEEN = "unseen"
    SEEN = "seen"
    READ = "read"
    DEVICE_REMOVED = "device_removed"

    @property
    def type(self) -> str:
        """The `type` of the event on the wire."""
        return "device.removed" if self is WebhookKind.DEVICE_REMOVED else f"notifications.{self}"


class WebhookTerms(NamedTuple):
    """The terms of events for the application. Times are microseconds.

    `kinds`: events of other kinds are not written. `unseen_after`: the time of a notification without a time
    of its own. `unseen_every`: the least time between two events of unseen notifications for a user.
    `lifetime`: an event is given up after this time.
    """

    kinds: frozenset[WebhookKind] = frozenset()
    unseen_after: int = 900 * SECOND
    unseen_every: int = 3600 * SECOND
    lifetime: int = 3 * 86_400 * SECOND

    def due_at(self, told_after: int | None, now: int) -> int | None:
        """When a notification of `now` with this kept `webhook` is to be told; None for never."""
        if told_after == NEVER:
            return None
        return now + (self.unseen_after if told_after is None else told_after)


NO_WEBHOOK = WebhookTerms()
"""Nothing is told, and nothing is written."""


def told_after(controls: WebhookControls | bool | None) -> int | None:
    """The kept form of a notification's `webhook`: microseconds, NEVER, or None for the setting."""
    if controls is None:
        return None
    return round(controls.unseen_after_seconds * SECOND) if isinstance(controls, WebhookControls) else NEVER


# ── on its way ────────────────────────────────────────────────────────────────────────────────────────


class RemovedDevice(Struct, frozen=True):
    """A device whose network called the device's address dead."""

    device_id: str
    network: str
    reason: str


class WebhookEvent(Struct, frozen=True, kw_only=True):
    """A claimed event. `attempt` counts from 1. Times are microseconds since 1970.

    `unseen`, `notifications` and `more` belong to UNSEEN, oldest first, as the inbox is at the claim.
    `categories`: the categories of these, as far as the user may turn them off. `notification_ids` belong to
    SEEN and READ, `device` to DEVICE_REMOVED.
    """

    webhook_id: str
    kind: WebhookKind
    user_id: str
    attempt: int
    created_at: int
    expires_at: int
    unseen: int = 0
    notifications: tuple[StoredNotification, ...] = ()
    more: bool = False
    categories: tuple[str, ...] = ()
    notification_ids: tuple[str, ...] = ()
    device: RemovedDevice | None = None


# ── as the application gets it ────────────────────────────────────────────────────────────────────────


class UnseenTold(Struct, frozen=True):
    """Notifications unseen for long enough, oldest first. `unseen`: the user's unseen count. `more`: the next
    event tells more. `unsubscribe`: a link by category, for mails; left out without `server.public_url`.
    """

    user_id: str
    unseen: Annotated[int, Meta(ge=0)]
    notifications: list[NewItem]
    more: bool
    unsubscribe: dict[str, str] | UnsetType = UNSET


class MarkedTold(Struct, frozen=True):
    """Notifications, seen or read since `at`."""

    user_id: str
    notification_ids: list[str]
    at: Timestamp


class DeviceRemovedTold(Struct, frozen=True):
    """A device whose network called it dead. PNS has removed the device."""

    user_id: str
    device_id: str
    network: str
    reason: str


Told = UnseenTold | MarkedTold | DeviceRemovedTold
ToldT = TypeVar("ToldT", bound=Told, covariant=True)


class Event(Struct, Generic[ToldT], frozen=True):
    """An event for a function of the host. `webhook_id` is the same at every attempt of the event.

    `timestamp`: of the event. `data`: the notifications or the device, as an event over HTTP has them.
    """

    webhook_id: str
    type: str
    timestamp: Timestamp
    data: ToldT


class WebhookBody(Struct, frozen=True):
    """The body of a webhook, by Standard Webhooks. `timestamp`: of the event, the same at every attempt."""

    type: str
    timestamp: Timestamp
    data: Told
