"""A notification: as the application submits it, as the store keeps it, and as a page of an inbox.

PNS never looks inside `notification_data`. msgspec checks the shapes at the edges (web, library);
`Notification.check` makes the checks that a type cannot make. No I/O.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pns.model.group import Group, GroupMember, kept_group
from pns.model.name import Name
from pns.model.pending import MAX_AHEAD_DAYS
from pns.model.push import PushControls, WebhookControls
from pns.model.timestamp import MINUTE, Moment

MAX_NOTIFICATIONS = 1000
"""Notifications of one request or publication."""
CREATE_DATE_LEEWAY = 5 * MINUTE
"""Microseconds that a submitted `create_date` may lie ahead of PNS's own clock."""
_FURTHER = timedelta(days=MAX_AHEAD_DAYS, microseconds=-CREATE_DATE_LEEWAY)
"""From the latest `create_date` to the latest `deliver_date`."""
NOT_WITH_CREATE_DATE = (
    "must not stand beside create_date: leave create_date out, the deliver_date becomes the create_date"
)
NO_COLLAPSE_KEY = (
    "needs a collapse_key, by which the notifications of a group find one another: "
    'add a "collapse_key" such as "likes:post-7", or leave `group` out'
)


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A notification as the application submits it. Never changed afterwards.

    `notification_data`: 1 to `limits.max_notification_bytes` bytes of UTF-8 without U+0000; by convention
    the JSON text of `{"title", "body", "url", "icon"}`. The library takes a dict or a list, too, and keeps
    the JSON text.
    `notification_id`: the application's own id, the key for safe repeats; PNS makes a UUIDv7 otherwise.
    `create_date`, `expire_date`: aware datetimes. `category`: the application's own label.
    `collapse_key`: replaces the user's unseen notification with the same key. `push`: the form of its push
    to devices without a connection; a notification without `push` is pushed, too. `group`: the member of the
    group that the notification belongs to, with a `collapse_key`. `webhook`: when the application may be told
    that it is still unseen, or False for never.
    `deliver_date`: an aware datetime, until which nobody sees the notification.
    """

    notification_data: Annotated[str, Meta(min_length=1)]
    notification_id: Name | None = None
    create_date: Moment | None = None
    category: Name | None = None
    collapse_key: Name | None = None
    expire_date: Moment | None = None
    push: PushControls | None = None
    group: GroupMember | None = None
    webhook: WebhookControls | Literal[False] | None = None
    deliver_date: Moment | None = None

    if TYPE_CHECKING:  # the library takes more than PNS keeps

        def __init__(
            self,
            notification_data: str | Mapping[str, Any] | list[Any] | tuple[Any, ...],
            notification_id: str | None = None,
            create_date: datetime | None = None,
            *,
            category: str | None = None,
            collapse_key: str | None = None,
            expire_date: datetime | None = None,
            push: PushControls | None = None,
            group: GroupMember | Mapping[str, Any] | None = None,
            webhook: WebhookControls | Mapping[str, Any] | Literal[False] | None = None,
            deliver_date: datetime | None = None,
        ) -> None: ...

    def check(self, *, max_bytes: int, latest_create_date: datetime) -> tuple[str, str] | None:
        """The first wrong field and its fault, or None when the notification may be stored.

        `latest_create_date`: CREATE_DATE_LEEWAY ahead of PNS's own clock.
        """
        data = self.notification_data
        try:
            size = len(data) if data.isascii() else len(data.encode())
        except UnicodeEncodeError:
            return "notification_data", "must not hold lone surrogates"
        if not 1 <= size <= max_bytes:
            return "notification_data", f"must have 1 to {max_bytes} bytes of UTF-8, this has {size}"
        if "\0" in data:
            return "notification_data", "must not hold U+0000"
        return self._check_dates(latest_create_date) or self._check_group() or self._check_push()

    def _check_dates(self, latest_create_date: datetime) -> tuple[str, str] | None:
        if self.create_date is not None and self.create_date > latest_create_date:
            return "create_date", "must not be more than 5 minutes ahead of PNS's clock"
        dates = {
            "create_date": self.create_date,
            "deliver_date": self.deliver_date,
            "expire_date": self.expire_date,
        }
        for name, moment in dates.items():
            if moment is not None and not _exists_in_utc(moment):
                return name, "must be a time that exists in UTC"
        if self.deliver_date is None:
            return None
        return self._check_deliver_date(self.deliver_date, latest_create_date + _FURTHER)

    def _check_deliver_date(self, deliver_date: datetime, latest: datetime) -> tuple[str, str] | None:
        if self.create_date is not None:
            return "deliver_date", NOT_WITH_CREATE_DATE
        if deliver_date > latest:
            return "deliver_date", f"must be at most {MAX_AHEAD_DAYS} days ahead: notify nearer to that time"
        if self.expire_date is not None and self.expire_date <= deliver_date:
            return "expire_date", "must be later than deliver_date, or left out"
        return None

    def _check_group(self) -> tuple[str, str] | None:
        if self.group is None:
            return None
        if self.collapse_key is None:
            return "group", NO_COLLAPSE_KEY
        wrong = self.group.check()
        return None if wrong is None else (f"group/{wrong[0]}", wrong[1])

    def _check_push(self) -> tuple[str, str] | None:
        wrong = None if self.push is None else self.push.check()
        return None if wrong is None else ("/".join(filter(None, ("push", wrong[0]))), wrong[1])


def _exists_in_utc(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


class StoredNotification(msgspec.Struct, frozen=True, array_like=True):
    """A notification as the store keeps it. Dates are microseconds since 1970; `seq` is the notification's
    place. `read_mark`: 0 for a seen notification that is not read, None where nothing was said of reading.
    `grouped`: the text of a KeptGroup.

    `array_like`: a page has many items, and msgspec checks an array faster than an object.
    """

    seq: int
    notification_id: str
    notification_data: str
    create_date: int
    seen_date: int | None
    category: str | None
    collapse_key: str | None
    expire_date: int | None
    read_mark: int | None = None
    archived_date: int | None = None
    grouped: str | None = None

    @property
    def group(self) -> Group | None:
        """The group that the notification stands for, if there is one."""
        return None if self.grouped is None else kept_group(self.grouped).shown

    @property
    def read_date(self) -> int | None:
        """When the notification was read; None while unread. A seen one of which nothing was said is read."""
        return self.seen_date if self.read_mark is None else self.read_mark or None


class Page(msgspec.Struct, frozen=True):
    """A stretch of a user's inbox, in the order of the request. An empty page is the end."""

    user_key: int
    items: tuple[StoredNotification, ...]


def new_notification_id(now: int) -> str:
    """A UUIDv7 (RFC 9562 §5.7) for `now`, in microseconds since the epoch."""
    random = int.from_bytes(os.urandom(10))
    value = (now // 1000 & (1 << 48) - 1) << 80 | random
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
