"""Groups: several notifications of one subject that stand in an inbox as one, as in "Ann and 3 others".

A notification with a `collapse_key` may name a member of a group. The notification replaces the user's unseen
one with the same key and inherits the group. Values and their rules only: adapters/stores/groups.py lets a
group grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pns.model.name import Name

MAX_DATA = 512
"""Bytes of a member's `data`."""
MAX_MEMBERS = 1_000
"""Members that a group tells apart. Further ones are counted in `times` alone."""
MAX_IDS = 1_000
"""Notification ids that a group keeps, the newest."""
WITH_DATA = 10
"""Members whose `data` a group keeps, the newest."""
SHOWN = 3
"""Members that an item shows, the newest."""


class GroupMember(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The part of a notification that makes a group: whose it is, such as `user:7`, the user who liked.

    `data`: at most 512 bytes that the item shows, by convention the JSON text of `{"name", "icon"}`. The
    library takes a dict or a list, too, and keeps the JSON text. Without `data` the member's data stays.
    """

    member: Name
    data: Annotated[str, Meta(max_length=MAX_DATA)] | None = None

    if TYPE_CHECKING:  # the library takes more than PNS keeps

        def __init__(
            self, member: str, data: str | Mapping[str, Any] | list[Any] | tuple[Any, ...] | None = None
        ) -> None: ...

    def check(self) -> tuple[str, str] | None:
        """The wrong field and its fault, or None."""
        if self.data is None:
            return None
        try:
            size = len(self.data.encode())
        except UnicodeEncodeError:
            return "data", "must not hold lone surrogates"
        if size > MAX_DATA:
            return "data", f"must have at most {MAX_DATA} bytes of UTF-8, this has {size}"
        return ("data", "must not hold U+0000") if "\0" in self.data else None


class LatestMember(Struct, frozen=True, omit_defaults=True):
    """A member of a group as an item shows the member. `data` is left out where none is kept."""

    member: str
    data: str | UnsetType = UNSET


class Group(Struct, frozen=True, omit_defaults=True):
    """The group of a notification. `times`: how many notifications the group took in. `members`: how many
    different members these had; with `more` there are members beside these 1,000. `latest`: the newest
    members, at most three, the newest first.
    """

    times: Annotated[int, Meta(ge=1)]
    members: Annotated[int, Meta(ge=0, le=MAX_MEMBERS)]
    latest: Annotated[list[LatestMember], Meta(max_length=SHOWN)]
    more: bool = False


class KeptMember(Struct, frozen=True, array_like=True):
    """A member in a KeptGroup."""

    member: str
    data: str | None


class KeptGroup(Struct, frozen=True, array_like=True):
    """A group as its notification's row keeps it, as JSON.

    `taken`: how many ids the group ever took in; `times` falls when a member is taken out, `taken` never.
    `latest`: the newest members, the newest first: at most WITH_DATA, and at least those to be shown.
    """

    times: int = 0
    members: int = 0
    taken: int = 0
    more: bool = False
    latest: tuple[KeptMember, ...] = ()

    @property
    def shown(self) -> Group:
        """The group as an item shows it."""
        latest = [
            LatestMember(kept.member, UNSET if kept.data is None else kept.data)
            for kept in self.latest[:SHOWN]
        ]
        return Group(self.times, self.members, latest, self.more)

    @property
    def text(self) -> str:
        """The text of a row. `kept_group` reads the text."""
        return _encode(self).decode()


_encode = msgspec.json.Encoder().encode
kept_group = msgspec.json.Decoder(KeptGroup).decode
