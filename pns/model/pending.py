"""Pending notifications, which wait for their time: with a `deliver_date`, or snoozed by their user.

Values only. adapters/stores/later.py turns due ones into notifications of the inbox.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from pns.model.group import Group, GroupMember, LatestMember, kept_group
from pns.model.timestamp import DAY, Moment, microseconds

MAX_AHEAD_DAYS = 400
MAX_AHEAD = MAX_AHEAD_DAYS * DAY
"""Microseconds that a notification may wait."""


class PendingNotification(msgspec.Struct, frozen=True):
    """A pending notification as the store keeps the row. Dates are microseconds since 1970.

    `create_date` is the notification's date in the inbox: the `deliver_date`, or the date from before a
    snooze. `member`: the text of the member that the notification will bring into a group. `grouped`: the
    text of a snoozed notification's KeptGroup.
    """

    notification_id: str
    notification_data: str
    deliver_date: int
    create_date: int
    category: str | None = None
    collapse_key: str | None = None
    expire_date: int | None = None
    member: str | None = None
    grouped: str | None = None

    @property
    def group(self) -> Group | None:
        """The group of a snoozed notification, or the group that the notification would begin."""
        if self.grouped is not None:
            return kept_group(self.grouped).shown
        if self.member is None:
            return None
        member = read_member(self.member)
        return Group(1, 1, [LatestMember(member.member, UNSET if member.data is None else member.data)])


class Waiting(msgspec.Struct, frozen=True):
    """A stretch of a user's pending notifications, in the order of the request. An empty page is the end."""

    user_key: int
    items: tuple[PendingNotification, ...]


class Snooze(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take this notification out of the inbox, and bring it back unseen at `until`."""

    id: str
    until: Moment

    def moment(self, now: int) -> int:
        """`until` in microseconds. Raises ValueError, with a remedy for the sender."""
        until = microseconds(self.until)
        if until > now + MAX_AHEAD:
            raise ValueError(f"until must be at most {MAX_AHEAD_DAYS} days ahead")
        return until


def member_text(member: GroupMember | None) -> str | None:
    """The text of a row for `member`. `read_member` reads the text."""
    return None if member is None else msgspec.json.encode(member).decode()


def read_member(text: str) -> GroupMember:
    """The member of a row."""
    return _MEMBER.decode(text)


_MEMBER = msgspec.json.Decoder(GroupMember)
