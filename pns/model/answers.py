"""Answers to the application: what PNS tells of a user, a device, a push and a publication. Values only.

The library returns these values, and the HTTP edge sends them as JSON. They never hold a device's address,
because an address would let anybody push to the device.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from pns.model.push import PushState
from pns.model.timestamp import Timestamp

Count = Annotated[int, Meta(ge=0)]


class DeviceInfo(Struct, frozen=True):
    """`connections` are the device's on all nodes. `here`, only if asked for, counts the answering node's."""

    device_id: str
    connections: Count
    connected_since: Timestamp
    here: Count | UnsetType = UNSET


class UserInfo(Struct, frozen=True):
    user_id: str
    unseen: Count
    devices: list[DeviceInfo]


class InstalledDevice(Struct, frozen=True):
    """A device at a push network. `badge`: its own counter; null where it shows the unseen count."""

    device_id: str
    network: str
    gateway: str
    app: str
    environment: str
    platform: str
    badge: Count | None
    registered_at: Timestamp
    expires_at: Timestamp | None
    connections: Count


class Registered(Struct, frozen=True):
    """`mqtt`: an MQTT device connects with these data; told only here, and anew at each registration."""

    device_id: str
    mqtt: dict[str, Any] | UnsetType = UNSET


class PushItem(Struct, frozen=True):
    """A push to one device. `accepted` means that its network took the push, not that a device received it.

    `due_at`: the next try of a waiting push. `provider_id`: the network's own id of the push.
    """

    device_id: str
    network: str
    gateway: str
    state: PushState
    attempts: Count
    reason: str | None
    provider_id: str | None
    due_at: Timestamp | None
    changed_at: Timestamp


class Named(Struct, frozen=True):
    """A topic or a bucket by its name; neither: everybody."""

    topic: str | UnsetType = UNSET
    bucket: str | UnsetType = UNSET


class Subscriptions(Struct, frozen=True):
    topics: list[str]
    buckets: list[str]


class Published(Struct, frozen=True):
    """The publication, and the ids that its notifications have in every inbox."""

    publication_id: str
    notification_ids: list[str]


class PublicationInfo(Named, frozen=True, kw_only=True):
    """`reached`: users so far. `end_date`: when all users were reached, or null."""

    publication_id: str
    notification_ids: list[str]
    reached: Count
    create_date: Timestamp
    end_date: Timestamp | None
