"""Noting for timelines on PostgreSQL. Statements stand in timeline.sql.

Every function runs inside the writer's transaction, before the statement that removes the notifications. A
store without timelines never calls these functions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pns.adapters.stores.postgres.rows import Session, affected, safe_id
from pns.contracts.store import Place
from pns.contracts.timeline import Note
from pns.model.timeline import What


async def note(session: Session, notes: Sequence[Note]) -> None:
    """Write notes, such as those of an event that the application took."""
    parameters = {name: [each._asdict()[name] for each in notes] for name in Note._fields}
    await affected(session, "note", parameters)


async def note_places(
    session: Session, user_key: int, seqs: Collection[int], *, what: What, now: int
) -> None:
    """Note the coming removal of the notifications at `seqs`, and `what` the reason is."""
    await note_all(session, [Place(user_key, seq) for seq in seqs], what=what, now=now)


async def note_all(session: Session, places: Sequence[Place], *, what: What, now: int) -> None:
    """The same for the notifications of several users."""
    asked = {"user_keys": [place.user_key for place in places], "seqs": [place.seq for place in places]}
    await affected(session, "note_places", {**asked, "what": what, "at": now})


async def note_withdrawn(session: Session, user_id: str, notification_id: str, *, now: int) -> None:
    """Note the coming withdrawal of a notification."""
    named = {"user_id": safe_id(user_id), "notification_id": safe_id(notification_id), "at": now}
    await affected(session, "note_withdrawn", named)


async def note_taken_back(session: Session, where: Mapping[str, object], *, now: int) -> None:
    """Note the removal of the rows of `take_items_back` with the same parameters."""
    await affected(session, "note_taken_back", {**where, "at": now})


async def note_expired(session: Session, places: Sequence[Place]) -> None:
    """Note the expiry of the notifications at `places`."""
    asked = {"user_keys": [place.user_key for place in places], "seqs": [place.seq for place in places]}
    await affected(session, "note_expired", asked)
