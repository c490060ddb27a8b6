"""Noting for timelines on SQLite, beside appending. Statements stand in timeline.sql.

Every function runs inside the writer's transaction, before the statement that removes the notifications. A
store without timelines never calls these functions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping

from pns.adapters.stores.sqlite.rows import SQL, affected
from pns.contracts.timeline import Note
from pns.model.timeline import What


def note(connection: sqlite3.Connection, notes: Iterable[Note]) -> None:
    """Write notes, such as those of an event that the application took."""
    connection.executemany(SQL["note"], list(notes))


def note_places(
    connection: sqlite3.Connection, user_key: int, seqs: Collection[int], *, what: What, now: int
) -> None:
    """Note the coming removal of the notifications at `seqs`, and `what` the reason is."""
    connection.executemany(SQL["note_places"], [(now, what, user_key, seq) for seq in seqs])


def note_withdrawn(connection: sqlite3.Connection, user_id: str, notification_id: str, *, now: int) -> None:
    """Note the coming withdrawal of a notification."""
    named = {"user_id": user_id, "notification_id": notification_id, "at": now}
    affected(connection, "note_withdrawn", named)


def note_taken_back(connection: sqlite3.Connection, where: Mapping[str, object], *, now: int) -> None:
    """Note the removal of the rows of `take_item_back` with the same parameters."""
    affected(connection, "note_taken_back", {**where, "at": now})


def note_expired(connection: sqlite3.Connection, *, limit: int, now: int) -> None:
    """Note the expiry of the rows of `delete_expired` with the same parameters."""
    affected(connection, "note_expired", {"now": now, "limit": limit})
