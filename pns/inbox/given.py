"""Values that an application gives, checked: ids, names and notifications, from JSON or from code.

Both edges, HTTP and the library, check here. Every function raises Invalid, which names the field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from pns.contracts.store import Submission
from pns.errors import Invalid
from pns.model.device import parse_user_id
from pns.model.mark import Mark, MarkBody, mark_of
from pns.model.name import KEPT_NAME_RULE, NAME_RULE, KeptName, Name
from pns.model.notification import CREATE_DATE_LEEWAY, Notification
from pns.model.plain import Data as Data
from pns.model.plain import Notifications as Notifications
from pns.model.plain import check_user_type as check_user_type
from pns.model.plain import converted as converted
from pns.model.plain import members as members
from pns.model.plain import notifications as notifications
from pns.model.plain import plain as plain
from pns.model.plain import text as text
from pns.model.plain import user as user
from pns.model.plain import user_of_call as user_of_call
from pns.runtime.clock import Clock
from pns.settings import LimitsSettings

# ── ids and names ─────────────────────────────────────────────────────────────────────────────────────


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


def mark(body: MarkBody) -> Mark:
    """The mark that `body` asks for."""
    found = mark_of(body)
    if not isinstance(found, Mark):
        at, remedy = found
        raise Invalid([(f"/{at}" if at else "", remedy)])
    return found


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
