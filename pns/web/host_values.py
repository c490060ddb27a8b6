"""What a host's code gives to PNS, as values that fit the contract: what the web edge does for JSON.

A value that was made in code was checked by nobody. Every function raises Invalid, which names the field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pns.errors import Invalid
from pns.model.device import parse_user_id
from pns.model.notification import Notification
from pns.web.remedies import invalid

T = TypeVar("T")

Notifications = str | Notification | Iterable[str | Notification]


class _Notifications(Struct, frozen=True):
    notifications: list[Notification]


def given_user(user_id: object) -> str:
    """A user id."""
    try:
        return parse_user_id(user_id)
    except ValueError as error:
        raise Invalid([("user_id", str(error))]) from None


def given_notifications(notifications: Notifications) -> list[Notification]:
    """Notifications whose fields have the right types. Raises TypeError for what is none at all."""
    return converted({"notifications": members(notifications)}, _Notifications).notifications


def members(notifications: Notifications) -> list[Mapping[str, object]]:
    """The members of each notification, not checked yet. Raises TypeError for what is none at all."""
    if isinstance(notifications, str | Notification):
        notifications = [notifications]
    return [_members(item, at=f"/notifications/{index}") for index, item in enumerate(notifications)]


def _members(item: str | Notification, *, at: str) -> Mapping[str, object]:
    if isinstance(item, str):
        return {"notification_data": item}
    if not isinstance(item, Notification):
        raise TypeError(f"a notification is a str or a pns.Notification, not {type(item).__name__}")
    return msgspec.structs.asdict(item) | {"push": plain(item.push, at=f"{at}/push")}


def plain(value: object, *, at: str = "") -> Any:
    """`value` as it is once it was sent as JSON: only so is it sure that it can be kept."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError) as error:
        raise Invalid([(at, f"must be what JSON can hold: {error}")]) from None


def converted(value: object, kind: type[T]) -> T:
    """`value`, of plain types, as a `kind`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid(error, kind) from None
