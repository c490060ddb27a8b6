"""Values that an application gives, checked: ids, names and notifications, from JSON or from code.

Both edges, HTTP and the library, check here. Every function raises Invalid, which names the field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pns.contracts.store import Submission
from pns.errors import Invalid
from pns.model.device import parse_user_id
from pns.model.name import KEPT_NAME_RULE, NAME_RULE, KeptName, Name
from pns.model.notification import CREATE_DATE_LEEWAY, Notification
from pns.model.remedies import invalid
from pns.runtime.clock import Clock
from pns.settings import LimitsSettings

T = TypeVar("T")

Notifications = str | Notification | Iterable[str | Notification]


class _Notifications(Struct, frozen=True):
    notifications: list[Notification]


# ── ids and names ─────────────────────────────────────────────────────────────────────────────────────


def user(value: object) -> str:
    """`value` as a user id."""
    try:
        return parse_user_id(value)
    except ValueError as error:
        raise Invalid([("user_id", str(error))]) from None


def name(at: str, text: str) -> str:
    """`text`, found at `at`, as the name of a thing that may exist already."""
    try:
        return msgspec.convert(text, KeptName)
    except msgspec.ValidationError:
        raise Invalid([(at, f"must be {KEPT_NAME_RULE}")]) from None


def new_name(at: str, text: str) -> str:
    """`text`, found at `at`, as the name of a thing that PNS makes if need be."""
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise Invalid([(at, f"must be {NAME_RULE}")]) from None


# ── notifications ─────────────────────────────────────────────────────────────────────────────────────


def submission(
    user_id: object,
    notifications: Collection[Notification],
    *,
    at: str = "",
    limits: LimitsSettings,
    clock: Clock,
) -> Submission:
    """Checked notifications for one user. The pointers of Invalid begin with `at`."""
    errors: list[tuple[str, str]] = []
    try:
        user = parse_user_id(user_id)
    except ValueError as error:
        user = ""
        errors.append((f"{at}/user_id", str(error)))
    errors += _wrong(notifications, at=f"{at}/notifications/{{}}", limits=limits, clock=clock)
    if errors:
        raise Invalid(errors)
    return Submission(user, tuple(notifications))


def check(
    notifications: Collection[Notification],
    *,
    at: str = "/notifications/{}",
    limits: LimitsSettings,
    clock: Clock,
) -> None:
    """Return if all of `notifications` may be stored. Each notification stands at `at`, with its index."""
    errors = list(_wrong(notifications, at=at, limits=limits, clock=clock))
    if errors:
        raise Invalid(errors)


def _wrong(
    notifications: Collection[Notification], *, at: str, limits: LimitsSettings, clock: Clock
) -> Iterator[tuple[str, str]]:
    latest = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=clock.now() + CREATE_DATE_LEEWAY)
    for index, notification in enumerate(notifications):
        wrong = notification.check(max_bytes=limits.max_notification_bytes, latest_create_date=latest)
        if wrong is not None:
            field, message = wrong
            yield f"{at.format(index)}/{field}", message


# ── values of a host's code, which nobody has checked ─────────────────────────────────────────────────


def notifications(values: Notifications) -> list[Notification]:
    """Notifications whose fields have the right types. Raises TypeError for a value of another type."""
    return converted({"notifications": members(values)}, _Notifications).notifications


def members(values: Notifications) -> list[Mapping[str, object]]:
    """The members of each notification, not checked yet. Raises TypeError for a value of another type."""
    if isinstance(values, str | Notification):
        values = [values]
    return [_members(item, at=f"/notifications/{index}") for index, item in enumerate(values)]


def _members(item: str | Notification, *, at: str) -> Mapping[str, object]:
    if isinstance(item, str):
        return {"notification_data": item}
    if not isinstance(item, Notification):
        raise TypeError(f"a notification is a str or a pns.Notification, not {type(item).__name__}")
    return msgspec.structs.asdict(item) | {"push": plain(item.push, at=f"{at}/push")}


def plain(value: object, *, at: str = "") -> Any:
    """`value` as plain types, as if it had been sent as JSON. PNS can keep such a value."""
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
