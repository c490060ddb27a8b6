"""Marks: what a user or the application says of notifications. Values and their rules only.

A notification has three marks: seen, read, archived. Archived ⇒ read ⇒ seen: setting a mark sets the marks
before it. A notification never becomes unseen again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from pns.model.name import KeptName

IDS_OF_A_DEVICE, IDS_OF_THE_APPLICATION = 50, 500
"""The most notifications that one mark names by their ids."""


class MarkAs(StrEnum):
    """`unread` clears read and archived, `unarchived` clears archived alone."""

    SEEN = "seen"
    READ = "read"
    UNREAD = "unread"
    ARCHIVED = "archived"
    UNARCHIVED = "unarchived"

    @property
    def shows(self) -> bool:
        """Whether the mark makes unseen notifications seen."""
        return self in (MarkAs.SEEN, MarkAs.READ, MarkAs.ARCHIVED)


class Mark(msgspec.Struct, frozen=True):
    """Notifications of one user, and their new mark.

    The notifications are `ids`, or all with the `collapse_key`, or all of the `category`, or else all. The
    last three end at `up_to` in the user's order. Without `up_to` they end at the newest when the mark
    begins.
    """

    as_: MarkAs
    ids: tuple[str, ...] | None = None
    collapse_key: str | None = None
    category: str | None = None
    up_to: str | None = None


_All = Annotated[bool, Meta(extra_json_schema={"const": True})]


class MarkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Mark notifications: exactly one of `ids`, `collapseKey`, `category`, `all`. `unread` and `unarchived`
    take `ids` alone. `upTo` leaves out later ones; it goes with the other three.
    """

    as_: MarkAs = field(name="as")
    ids: Annotated[list[str], Meta(min_length=1, max_length=IDS_OF_A_DEVICE)] | UnsetType = UNSET
    collapse_key: KeptName | UnsetType = UNSET
    category: KeptName | UnsetType = UNSET
    all: _All | UnsetType = UNSET
    up_to: str | UnsetType = UNSET


class MarkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mark notifications of a user: exactly one of `notification_ids`, `collapse_key`, `category`, `all`.
    `unread` and `unarchived` take `notification_ids` alone. `up_to` leaves out later ones; it goes with the
    other three.
    """

    as_: MarkAs = field(name="as")
    notification_ids: (
        Annotated[list[KeptName], Meta(min_length=1, max_length=IDS_OF_THE_APPLICATION)] | UnsetType
    ) = UNSET
    collapse_key: KeptName | UnsetType = UNSET
    category: KeptName | UnsetType = UNSET
    all: _All | UnsetType = UNSET
    up_to: KeptName | UnsetType = UNSET


def one_of(by_ids: str, *others: str, up_to: str) -> dict[str, Any]:
    """The rules of `mark_of` in JSON Schema, under the names of the members."""
    some = [
        {"required": [name], "properties": {"as": {"enum": [as_ for as_ in MarkAs if as_.shows]}}}
        for name in others
    ]
    return {"oneOf": [{"required": [by_ids], "not": {"required": [up_to]}}, *some]}


def mark_of(request: MarkRequest | MarkBody) -> Mark | tuple[str, str]:
    """The mark that `request` asks for, or the member at fault and its remedy."""
    members: Mapping[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(request).items() if value is not UNSET
    }
    names = {one.name: one.encode_name for one in msgspec.structs.fields(request)}
    _, by_ids, *others, up_to = names
    which = [name for name in (by_ids, *others) if name in members]
    if len(which) != 1:
        listed = ", ".join(f"`{names[name]}`" for name in (by_ids, *others))
        return "", f"must have exactly one of {listed}"
    if members.get("all") is False:
        return "all", "must be true, or left out"
    if which != [by_ids] and not request.as_.shows:
        return names[which[0]], f"must be left out: `{request.as_}` takes `{names[by_ids]}` alone"
    if which == [by_ids] and up_to in members:
        return names[up_to], f"must be left out beside `{names[by_ids]}`, which say all"
    ids = members.get(by_ids)
    return Mark(
        request.as_,
        None if ids is None else tuple(ids),
        members.get("collapse_key"),
        members.get("category"),
        members.get("up_to"),
    )
