"""Counts from rows: the part of reading counts that both engines share. Knows no statement and touches no
database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pns.contracts.store import CountsOf
from pns.model.counts import MOST_CATEGORIES, CategoryCount, Counts

READ_CATEGORIES = MOST_CATEGORIES + 1
"""One category more than PNS tells, to know whether others have something unread."""
_NOTHING = CategoryCount(0, 0)


class CountRow(NamedTuple):
    """A user's numbers, and the numbers of a category. `category` is None for a user without a category."""

    user_key: int
    version: int
    unseen: int
    unread: int
    category: str | None
    category_unseen: int | None
    category_unread: int | None


def counts_from(rows: Sequence[CountRow], asked: CountsOf) -> Counts:
    """The counts that `asked` wants. `rows` are this user's, in the order of names, and perhaps too many."""
    found = {
        row.category: CategoryCount(row.category_unseen or 0, row.category_unread or 0)
        for row in rows
        if row.category is not None
    }
    names = asked.categories
    told = found if names is None else {name: found.get(name, _NOTHING) for name in names}
    more = len(told) > MOST_CATEGORIES
    if not rows:
        return Counts(categories=told)
    user = rows[0]
    kept = dict(list(told.items())[:MOST_CATEGORIES])
    return Counts(user.user_key, user.version, user.unseen, user.unread, kept, more)
