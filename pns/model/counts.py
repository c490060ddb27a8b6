"""Counts: how many notifications of a user are unseen and unread, in all and by category. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

MOST_CATEGORIES = 64
"""Categories in one reading of counts."""

Count = Annotated[int, Meta(ge=0)]


class CategoryCount(Struct, frozen=True):
    """The unseen and the unread notifications of one category."""

    unseen: Count
    unread: Count


class Counts(NamedTuple):
    """All numbers of a user, of one moment.

    `(user_key, version)` orders them. `version` rises with every change of the user's notifications, marks
    included. `categories`: at most MOST_CATEGORIES, the first by name in the order of bytes. `more`: other
    categories have something unread, too.
    """

    user_key: int = 0
    version: int = 0
    unseen: int = 0
    unread: int = 0
    categories: Mapping[str, CategoryCount] = MappingProxyType({})
    more: bool = False
