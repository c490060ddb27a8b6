"""A notification: as the application submits it, as the store keeps it, and a page of an inbox.

PNS never looks inside `notification_data`. msgspec checks shapes at the edges (web, library);
`Notification.check` adds the rules beyond types. No I/O.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from pns.model.name import Name
from pns.model.push import PushControls
from pns.model.timestamp import MINUTE, Moment

MAX_NOTIFICATION_BYTES = 65_536
CREATE_DATE_LEEWAY = 5 * MINUTE
"""Microseconds that a submitted `create_date` may lie ahead of PNS's own clock."""


class Notification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notification of the application. Never changed afterwards.

    `notification_data`: 1 to `limits.max_notification_bytes` bytes of UTF-8 without U+0000; by convention
    the JSON text of `{"title", "body", "url", "icon"}`.
    `notification_id`: the application's own id, the key for safe repeats; PNS makes a UUIDv7 otherwise.
    `create_date`, `expire_date`: aware datetimes. `category`: the application's own label.
    `collapse_key`: replaces the user's unseen notification with the same key. `push`: how it is pushed to
    devices that hold no connection; not needed for that.
    """

    notification_data: Annotated[str, Meta(min_length=1, extra_json_schema={"pattern": r"^[^\x00]*$"})]
    notification_id: Name | None = None
    create_date: Moment | None = None
    category: Name | None = None
    collapse_key: Name | None = None
    expire_date: Moment | None = None
    push: PushControls | None = None

    def check(self, *, max_bytes: int, latest_create_date: datetime) -> tuple[str, str] | None:
        """(field, message), or None when the notification may be stored."""
        data = self.notification_data
        try:
            size = len(data) if data.isascii() else len(data.encode())
        except UnicodeEncodeError:
            return "notification_data", "must not hold lone surrogates"
        if not 1 <= size <= max_bytes:
            return "notification_data", f"must have 1 to {max_bytes} bytes of UTF-8, this has {size}"
        if "\0" in data:
            return "notification_data", "must not hold U+0000"
        if self.create_date is not None and self.create_date > latest_create_date:
            return "create_date", "must not be more than 5 minutes ahead of PNS's clock"
        for name, moment in (("create_date", self.create_date), ("expire_date", self.expire_date)):
            if moment is not None and not _exists_in_utc(moment):
                return name, "must be a time that exists in UTC"
        return self._check_push()

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
    """One notification as the store keeps it. Dates are microseconds since the epoch; `seq` is its place.

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


class Page(msgspec.Struct, frozen=True):
    """A stretch of one user's inbox, in the order asked for. An empty page is the end."""

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
