"""The objects of the wire, made from PNS's openapi.json by clients/make.py. Do not edit."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Notification(TypedDict):
    """A notification as the application submits it."""

    notification_data: str | dict[str, Any] | list[Any]
    notification_id: NotRequired[str | None]
    create_date: NotRequired[str | None]
    category: NotRequired[str | None]
    collapse_key: NotRequired[str | None]
    expire_date: NotRequired[str | None]
    push: NotRequired[dict[str, Any] | None]
    group: NotRequired[GroupMember | None]
    webhook: NotRequired[Literal[False] | WebhookControls | None]
    deliver_date: NotRequired[str | None]

class GroupMember(TypedDict):
    """The part of a notification that makes a group: whose it is, such as `user:7`, the user who liked."""

    member: str
    data: NotRequired[str | None]

class WebhookControls(TypedDict):
    """When the application may be told that a notification is still unseen; never how often."""

    unseen_after_seconds: float

class UserInfo(TypedDict):
    """`categories`, only if asked for: those with something unread, at most 64, the first by name."""

    user_id: str
    unseen: int
    unread: int
    devices: list[DeviceInfo]
    categories: NotRequired[dict[str, CategoryCount]]
    more: NotRequired[bool]

class DeviceInfo(TypedDict):
    """`connections` are the device's on all nodes."""

    device_id: str
    connections: int
    connected_since: str
    here: NotRequired[int]

class CategoryCount(TypedDict):
    """The unseen and the unread notifications of one category."""

    unseen: int
    unread: int

class InboxItem(TypedDict):
    """A notification as the application reads its user's inbox."""

    notification_id: str
    notification_data: str
    create_date: str
    category: NotRequired[str]
    collapse_key: NotRequired[str]
    expire_date: NotRequired[str]
    group: NotRequired[Group]
    seen_date: str | None
    read_date: NotRequired[str]
    archived_date: NotRequired[str]
    deliver_date: NotRequired[str]

class Group(TypedDict):
    """The group of a notification."""

    times: int
    members: int
    latest: list[LatestMember]
    more: NotRequired[bool]

class LatestMember(TypedDict):
    """A member of a group as an item shows the member."""

    member: str
    data: NotRequired[str]

class Marks(TypedDict):
    """`changed`: notifications that a mark really changed."""

    changed: int
    unseen: int
    unread: int

class InstalledDevice(TypedDict):
    """A device at a push network."""

    device_id: str
    network: str
    gateway: str
    app: str
    environment: str
    platform: str
    badge: int | None
    registered_at: str
    expires_at: str | None
    connections: int

class CategoryInfo(TypedDict):
    """A declared category, as declared."""

    category: str
    title: str
    description: str
    defaults: Channels
    required: list[Literal['inbox', 'push', 'webhook']]

class Channels(TypedDict):
    """For each channel on or off; a missing channel stays as before, and is on in a declaration."""

    inbox: NotRequired[bool]
    push: NotRequired[bool]
    webhook: NotRequired[bool]

class PreferenceInfo(TypedDict):
    """A category, and for each channel whether the channel is on for this user."""

    category: str
    title: str
    description: str
    inbox: bool
    push: bool
    webhook: bool
    required: list[Literal['inbox', 'push', 'webhook']]

class Published(TypedDict):
    """The publication, and the ids that its notifications have in every inbox."""

    publication_id: str
    notification_ids: list[str]

class PublicationInfo(TypedDict):
    """`reached`: users so far."""

    topic: NotRequired[str]
    bucket: NotRequired[str]
    publication_id: str
    notification_ids: list[str]
    reached: int
    create_date: str
    end_date: str | None
    taken_back: NotRequired[int]
    taken_back_date: NotRequired[str | None]

class Subscriptions(TypedDict):
    topics: list[str]
    buckets: list[str]

class TimelineItem(TypedDict):
    """A line of a user's timeline."""

    id: str
    at: str
    what: Literal['archived', 'expired', 'muted', 'pushed', 'read', 'replaced', 'seen', 'stored', 'webhook', 'withdrawn']
    notification_id: str
    category: NotRequired[str]
    detail: NotRequired[str]
    device_id: NotRequired[str]
    network: NotRequired[str]
    gateway: NotRequired[str]
    state: NotRequired[Literal['accepted', 'cancelled', 'device_invalid', 'expired', 'failed', 'queued', 'retry', 'seen', 'sending']]
    attempts: NotRequired[int]
    reason: NotRequired[str]
    provider_id: NotRequired[str]
    due_at: NotRequired[str]
