"""The Later contract: pending notifications, which wait for their time. A part of the Store.

- **Apart.** A pending notification is in no list of an inbox and in no count, and nothing is pushed. The id
  is taken all the same: `Store.append` knows it as the id of a kept one, and `Store.withdraw` takes it back.
- **Exactly once, never early.** `deliver` moves due notifications, in one commit with everything that
  `Store.append` does for a notification of that moment. Two nodes never deliver the same notification.
- A pending notification gives way to a kept one with the same id. After its `expire_date` it is dropped.
- Nothing prunes pending notifications. `Store.erase` removes the user's.

Methods raise the errors of a Store. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from pns.model.pending import Waiting
from pns.model.push import PushSchedule


class Behind(NamedTuple):
    """A place in the order of a user's pending notifications. The place may be empty."""

    user_key: int
    deliver_date: int
    notification_id: str


class WaitingCursor(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a user's pending notifications, by `deliver_date`, then by id: forwards after `after` or
    `behind`, or backwards before `before`.

    `after` and `before` are ids; `before=""` starts at the end. Reading ends when the user has another key
    than `behind`. `category` leaves out all others. A page ends at `limit` items or before `max_bytes` of
    notification_data are exceeded, but holds at least one item.
    """

    after: str = ""
    before: str | None = None
    behind: Behind | None = None
    category: str | None = None
    limit: int
    max_bytes: int


class Delivered(NamedTuple):
    """The result of one step. `taken`: pending notifications before the step, dropped ones included.
    `stored`: new notifications. `changed`: the users whose count changed.
    """

    taken: int = 0
    stored: int = 0
    changed: frozenset[str] = frozenset()


class Later(Protocol):
    """See the module's docstring for what every method promises."""

    async def page(self, user_id: str, cursor: WaitingCursor) -> Waiting:
        """Pending notifications of a user. Raises UnknownNotification when the notification of the cursor is
        not pending.
        """

    async def snooze(
        self,
        user_id: str,
        notification_id: str,
        until: int,
        *,
        committed: Callable[[bool | None], object] | None = None,
    ) -> None:
        """Make a kept notification pending until `until`. Its marks are gone, its group stays.

        At its time the notification has a new place, is unseen, and keeps its `create_date`. If an unseen
        notification has the same `collapse_key` then, the snoozed one is dropped. A snoozed notification can
        be snoozed again. A time that has passed counts as now. Raises UnknownNotification for an expired
        notification, and for an id that is neither kept nor snoozed.
        """

    async def next_delivery(self) -> int | None:
        """When the first pending notification is due, or None. Reads one row of an index."""

    async def deliver(
        self,
        *,
        limit: int,
        max_bytes: int,
        terms: PushSchedule | None = None,
        committed: Callable[[Delivered | None], object] | None = None,
    ) -> Delivered:
        """Deliver due notifications in the order of `deliver_date`: at most `limit`, and at most `max_bytes`
        of notification_data but at least one. With `terms`, the pushes to the users' devices too.

        Nothing is taken while another node delivers.
        """

    async def count(self) -> int:
        """How many notifications are pending. Reads an index, never the rows."""
