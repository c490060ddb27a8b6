"""Answers to the application: what PNS tells of a user, a device, a push and a publication. Values only.

The library returns these values, and the HTTP edge sends them as JSON. They never hold a device's address,
because an address would let anybody push to the device.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from pns.model.category import Channel, Channels
from pns.model.counts import CategoryCount, Count
from pns.model.push import PushState
from pns.model.timestamp import Timestamp


class DeviceInfo(Struct, frozen=True):
    """`connections` are the device's on all nodes. `here`, only if asked for, counts the answering node's."""

    device_id: str
    connections: Count
    connected_since: Timestamp
    here: Count | UnsetType = UNSET


class UserInfo(Struct, frozen=True):
    """`categories`, only if asked for: those with something unread, at most 64, the first by name. `more`:
    others have something unread, too.
    """

    user_id: str
    unseen: Count
    unread: Count
    devices: list[DeviceInfo]
    categories: dict[str, CategoryCount] | UnsetType = UNSET
    more: bool | UnsetType = UNSET


class Marks(Struct, frozen=True):
    """`changed`: notifications that a mark really changed. `unseen` and `unread`: the user's, afterwards."""

    changed: Count
    unseen: Count
    unread: Count


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
    """`mqtt`: an MQTT device connects with these data; told only here, and anew at each registration.

    `application_server_key`: the subscription was made with another key, so nothing is pushed there; the page
    must subscribe anew with this key. `dismissed`: the ids among `shown` that need not be shown any more.
    """

    device_id: str
    mqtt: dict[str, Any] | UnsetType = UNSET
    application_server_key: str | UnsetType = UNSET
    dismissed: list[str] | UnsetType = UNSET


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
    """`reached`: users so far. `end_date`: when all users were reached, or null.

    Only of a publication that is taken back: `taken_back`, users so far from whom something was taken, and
    `taken_back_date`, when it was taken back from all, or null.
    """

    publication_id: str
    notification_ids: list[str]
    reached: Count
    create_date: Timestamp
    end_date: Timestamp | None
    taken_back: Count | UnsetType = UNSET
    taken_back_date: Timestamp | UnsetType | None = UNSET


class CategoryInfo(Struct, frozen=True):
    """A declared category, as declared. PreferenceInfo is a user's view of it."""

    category: str
    title: str
    description: str
    defaults: Channels
    required: list[Channel]


class PreferenceInfo(Struct, frozen=True):
    """A category, and for each channel whether the channel is on for this user. `required`: the channels that
    no user can turn off.
    """

    category: str
    title: str
    description: str
    inbox: bool
    push: bool
    webhook: bool
    required: list[Channel]


class Chosen(Struct, frozen=True):
    """A user's own choice in a category. A channel that is left out follows the application's defaults."""

    category: str
    inbox: bool | UnsetType = UNSET
    push: bool | UnsetType = UNSET
    webhook: bool | UnsetType = UNSET
