"""The rows of the application's own table: made from notifications, read as items of `POST /notify`. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from pns.errors import Invalid
from pns.model.device import UserId
from pns.model.notification import Notification, new_notification_id
from pns.model.plain import Notifications, notifications, user_of_call

MOST_BYTES = 131_072
"""The highest `limits.max_notification_bytes`. The limit of the PNS in use may be lower."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Item = dict[str, msgspec.Raw]
"""The members of a notification, each as its JSON text."""


class _Errand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="errand"):
    """What a row asks for in place of a notification."""


class Disconnect(_Errand, frozen=True, tag="disconnect"):
    """A row that ends the connections of its user, or of a device of its user."""

    device_id: str | None = None


class Erase(_Errand, frozen=True, tag="erase"):
    """A row that erases its user."""


Errand = Disconnect | Erase

NOT_AN_OBJECT = (
    'notification: must be the JSON object of a notification, such as {"notification_data": "Order shipped"}'
)
OTHER_ID = "notification: must have no notification_id but the row's own id: leave notification_id out"

_ITEM = msgspec.json.Decoder(Item)
_ANY = msgspec.json.Decoder()
_ERRAND = msgspec.json.Decoder(Errand)
_ERRANDS = (
    'notification: "errand" must be {"errand": "disconnect"}, with a "device_id" for one device alone, or '
    '{"errand": "erase"}'
)


def item(notification: str, *, notification_id: str) -> Item:
    """The notification of a row, with the row's id. Raises ValueError with the remedy."""
    try:
        members = _ITEM.decode(notification)
        named = _ANY.decode(members.get("notification_id", b"null"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ValueError(NOT_AN_OBJECT) from None
    if named not in (None, notification_id):
        raise ValueError(OTHER_ID)
    return members | {"notification_id": msgspec.Raw(msgspec.json.encode(notification_id))}


def errand(notification: str) -> Errand | None:
    """The errand of a row; None for a notification. Raises ValueError with the remedy."""
    if '"errand"' not in notification:
        return None
    try:
        if "errand" not in _ITEM.decode(notification):
            return None
        return _ERRAND.decode(notification)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ValueError(_ERRANDS) from None


class NewRow(NamedTuple):
    """The values of a row that an application writes. `created_at` orders the rows of a transaction."""

    id: str
    user_id: str
    notification: str
    created_at: datetime


def new_rows(user_id: UserId, notifications: Notifications, *, now: int, newest: int = 0) -> list[NewRow]:
    """The rows of notifications for one user, each a microsecond younger than the one before.

    `now`: microseconds since 1970. `newest`: the `created_at` of the transaction's newest row before, also in
    microseconds. Raises Invalid for a notification that PNS would refuse, as far as can be told without PNS.
    Raises TypeError for a value of another type.
    """
    user = user_of_call("notify", user_id)
    wanted = _checked(notifications, latest=_EPOCH + timedelta(days=1, microseconds=now))
    first = max(now, newest + 1)
    return [
        NewRow(
            notification.notification_id or new_notification_id(now),
            user,
            msgspec.json.encode(msgspec.structs.replace(notification, notification_id=None)).decode(),
            _EPOCH + timedelta(microseconds=first + index),
        )
        for index, notification in enumerate(wanted)
    ]


def errand_row(user_id: str, wanted: Errand, *, now: int) -> NewRow:
    """The row of an errand, with an id of its own. `now`: microseconds since 1970."""
    text = msgspec.json.encode(wanted).decode()
    return NewRow(new_notification_id(now), user_id, text, _EPOCH + timedelta(microseconds=now))


def microseconds(moment: datetime) -> int:
    """`moment` in microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _checked(values: Notifications, *, latest: datetime) -> list[Notification]:
    """`latest`: a day ahead, because the clock of PNS may go otherwise than this machine's."""
    found = notifications(values)
    for index, notification in enumerate(found):
        wrong = notification.check(max_bytes=MOST_BYTES, latest_create_date=latest)
        if wrong is not None:
            raise Invalid([(f"/notifications/{index}/{wrong[0]}", wrong[1])])
    return found
