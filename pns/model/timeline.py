"""The values of a timeline: the kinds of events of a notification, and the lines. Values only."""

from __future__ import annotations

from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType

from pns.model.push import PushState
from pns.model.timestamp import Timestamp


class What(StrEnum):
    """The kinds, in their order within one moment."""

    STORED = "stored"
    MUTED = "muted"
    PUSHED = "pushed"
    WEBHOOK = "webhook"
    SEEN = "seen"
    READ = "read"
    ARCHIVED = "archived"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class TimelineItem(Struct, frozen=True):
    """A line of a user's timeline. `id` names the place of the line, for the next page.

    A `pushed` line tells of a push to one device: its state, and in `reason` the network's answer. `at` is
    then the time of the last change. `detail`: for a webhook, the event's type.
    """

    id: str
    at: Timestamp
    what: What
    notification_id: str
    category: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    device_id: str | UnsetType = UNSET
    network: str | UnsetType = UNSET
    gateway: str | UnsetType = UNSET
    state: PushState | UnsetType = UNSET
    attempts: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    provider_id: str | UnsetType = UNSET
    due_at: Timestamp | UnsetType = UNSET


class NoteItem(Struct, frozen=True):
    """A note of a notification without a row: the event, and the dates from before."""

    at: Timestamp
    what: What
    notification_id: str
    create_date: Timestamp | UnsetType = UNSET
    seen_date: Timestamp | UnsetType = UNSET
    read_date: Timestamp | UnsetType = UNSET
    archived_date: Timestamp | UnsetType = UNSET
    category: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
