"""Choosing the statement that reads a page of an inbox. Both engines share the choice.

Knows the names of statements and touches no database. Each list of notifications has an index of its own. A
page of a category reads the index of categories, which holds the marks as well.
"""

from __future__ import annotations

from typing import Literal

from pns.contracts.store import Cursor

Kind = Literal["unseen", "seen", "inbox"]

SEEN: dict[Kind, bool | None] = {"unseen": False, "seen": True, "inbox": None}


def page_statement(kind: Kind, cursor: Cursor) -> str | None:
    """The name of the statement for a page; None where no notification can be on it."""
    if cursor.unread and cursor.archived:
        return None
    return f"{_list(kind, cursor)}_{'after' if cursor.before is None else 'before'}"


def _list(kind: Kind, cursor: Cursor) -> str:
    if cursor.category is not None:
        return "category"
    if kind == "unseen":
        return "unseen"
    if cursor.archived:
        return "archived"
    if kind == "seen":
        return "unread" if cursor.unread else "seen"
    if cursor.unread:
        return "inbox_unread"
    return "inbox" if cursor.archived is None else "inbox_listed"


def page_filter(kind: Kind, cursor: Cursor) -> dict[str, object]:
    """The parameters that only a page of a category needs. None: no filter."""
    archived = cursor.archived
    return {
        "category": cursor.category,
        "seen": SEEN[kind],
        "archived": bool(archived) if kind == "seen" else archived,
        "unread": True if cursor.unread else None,
    }
