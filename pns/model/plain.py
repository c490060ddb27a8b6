"""Values of a host's code, which nobody has checked, as plain values: as if they had been sent as JSON.

Every function raises Invalid, which names the field, and TypeError for a value of another type. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pns.errors import Invalid
from pns.model.device import may_be_user_id, parse_user_id
from pns.model.group import GroupMember
from pns.model.notification import Notification
from pns.model.remedies import invalid

T = TypeVar("T")

Data = str | Mapping[str, Any] | list[Any] | tuple[Any, ...]
"""The data of a notification in a host's code: a text, or an object or array of JSON."""
Notifications = str | Mapping[str, Any] | Notification | Iterable[str | Mapping[str, Any] | Notification]

_NOTIFICATION = "a notification is a str, a dict of its data or a pns.Notification"
_NAMED = "write pns.Notification(notification_data=…, notification_id=…)"


class _Notifications(Struct, frozen=True):
    notifications: list[Notification]


def user(value: object) -> str:
    """`value` as a user id."""
    try:
        return parse_user_id(value)
    except ValueError as error:
        raise Invalid([("user_id", str(error))]) from None


def user_of_call(call: str, value: object) -> str:
    """`value`, which a host's code gave to the method `call`, as a user id. Raises TypeError for a value of
    another type, such as Decimal or bytes.
    """
    check_user_type(call, value)
    return user(value)


def check_user_type(call: str, value: object) -> None:
    """Raise TypeError if `value`, given to the method `call`, is of no type of a user id."""
    if not may_be_user_id(value):
        raise TypeError(
            f"{call}: a user_id is a str, an int or a uuid.UUID, not {type(value).__name__}: "
            "give the id as text, such as str(user.pk)"
        )


def notifications(values: Notifications) -> list[Notification]:
    """Notifications whose fields have the right types. Raises TypeError for a value of another type."""
    return converted({"notifications": members(values)}, _Notifications).notifications


def converted(value: object, kind: type[T]) -> T:
    """`value`, of plain types, as a `kind`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid(error, kind) from None


def members(values: Notifications) -> list[Mapping[str, object]]:
    """The members of each notification, not checked yet. Raises TypeError for a value of another type."""
    if isinstance(values, str | Mapping | Notification):
        values = [values]
    return [_members(item, at=f"/notifications/{index}") for index, item in enumerate(values)]


def _members(item: str | Mapping[str, Any] | Notification, *, at: str) -> Mapping[str, object]:
    if isinstance(item, Notification):
        members = msgspec.structs.asdict(item) | {
            "push": plain(item.push, at=f"{at}/push"),
            "group": _group(item.group, at=f"{at}/group"),
            "webhook": plain(item.webhook, at=f"{at}/webhook"),
        }
    elif isinstance(item, str | Mapping):
        members = {"notification_data": item}
    else:
        raise TypeError(f"{_NOTIFICATION}, not {type(item).__name__}")
    if isinstance(item, Mapping) and "notification_data" in item:
        raise TypeError(f"{_NOTIFICATION}, not {type(item).__name__} with notification_data: {_NAMED}")
    return members | {"notification_data": text(members["notification_data"], at=f"{at}/notification_data")}


def _group(group: object, *, at: str) -> object:
    """The members of a group's part, with the JSON text of its data."""
    members = msgspec.structs.asdict(group) if isinstance(group, GroupMember) else group
    if isinstance(members, Mapping) and "data" in members:
        members = {**members, "data": text(members["data"], at=f"{at}/data")}
    return plain(members, at=at)


def text(data: object, *, at: str) -> object:
    """The JSON text of `data`, where `data` is an object or an array; `data` itself otherwise."""
    if not isinstance(data, Mapping | list | tuple):
        return data
    return _json(dict(data) if isinstance(data, Mapping) else data, at=at).decode()


def plain(value: object, *, at: str = "") -> Any:
    """`value` as plain types, as if it had been sent as JSON. PNS can keep such a value."""
    return msgspec.json.decode(_json(value, at=at))


def _json(value: object, *, at: str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid([(at, f"must be what JSON can hold: {error}")]) from None
