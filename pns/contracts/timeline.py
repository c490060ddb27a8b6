"""The Timeline contract: what the store notes of notifications that leave no row, and reads for a timeline.

A timeline is a view. Marks stand in the notifications, and the networks' answers in the pushes. The store
notes apart what leaves no row: a notification was replaced, muted, withdrawn or expired, or a webhook told of
the notification. A note is written in the transaction of its cause, and only by a store that keeps timelines.
Notes are for known users: a notification that is muted at once makes nobody known.

The note of a removed notification holds the removed marks, too. Times are microseconds since the epoch.
Methods raise the errors of the Store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pns.model.push import PushStatus
from pns.model.timeline import What


class Facts(NamedTuple):
    """The dates of a kept notification. `read_mark`: as StoredNotification has it."""

    seq: int
    notification_id: str
    create_date: int
    seen_date: int | None
    read_mark: int | None
    archived_date: int | None
    category: str | None


class PushFacts(NamedTuple):
    """A push of a notification. `push_key` orders the pushes of one notification."""

    notification_id: str
    push_key: int
    status: PushStatus


class Note(NamedTuple):
    """What happened to a notification that left no row, and the dates that the notification had.

    `detail`: for a webhook, the event's type.
    """

    user_key: int
    at: int
    notification_id: str
    what: What
    create_date: int | None = None
    seen_date: int | None = None
    read_date: int | None = None
    archived_date: int | None = None
    category: str | None = None
    detail: str | None = None


class Timeline(Protocol):
    """Each method reads the next rows behind `after`, at most `limit`. An erased user's key has none."""

    async def user_key(self, user_id: str) -> int:
        """The key behind `user_id`; 0 for a user with nothing."""

    async def facts(self, user_key: int, *, after: int, limit: int) -> Sequence[Facts]:
        """The user's notifications in the order of `seq`, which `after` is; 0: from the first."""

    async def pushes(self, user_key: int, *, after: tuple[str, int], limit: int) -> Sequence[PushFacts]:
        """The user's pushes in the order of (notification_id, push_key), which `after` is; ("", 0): from the
        first. SEEN and CANCELLED follow the inbox at once, as with Outbox.pushes.
        """

    async def notes(self, user_key: int, *, after: tuple[int, str, str], limit: int) -> Sequence[Note]:
        """The user's notes in the order of (at, notification_id, what), which `after` is."""

    async def prune(self, *, noted_before: int, limit: int) -> int:
        """Remove at most `limit` notes from before; returns their number."""
