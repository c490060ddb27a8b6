"""Noting for timelines: the part that both engines share. Knows no statement and touches no database."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from pns.adapters.stores.drafts import Draft
from pns.adapters.stores.due import StatusRow, status_of
from pns.contracts.timeline import Note, PushFacts
from pns.model.timeline import What


class Passed(NamedTuple):
    """A taken notification without a row, the reason, and the time."""

    draft: Draft
    what: What
    at: int

    def note(self, user_key: int) -> Note:
        return Note(
            user_key,
            self.at,
            self.draft.notification_id,
            self.what,
            create_date=self.draft.create_date,
            category=self.draft.category,
        )


class PushFactsRow(StatusRow, frozen=True, kw_only=True):
    """The state of a push of a user, and the push's notification."""

    notification_id: str
    push_key: int

    @property
    def facts(self) -> PushFacts:
        return PushFacts(self.notification_id, self.push_key, status_of(self))


def passed_over(
    wanted: Sequence[Draft],
    stored: Sequence[Draft],
    *,
    known: Mapping[str, str | int],
    off: Container[str],
    now: int,
) -> list[Passed]:
    """The new drafts of one user that are neither among `stored` nor wait, in order. `known` and `off`: see
    to_store.

    Such a draft was muted, came too late, or was replaced by a later draft at once.
    """
    if len(stored) == len(wanted):
        return []
    there = {draft.notification_id for draft in stored}
    missing = {
        draft.notification_id: draft
        for draft in reversed(wanted)
        if draft.notification_id not in there and draft.notification_id not in known
        if draft.deliver_date is None
    }
    return [Passed(draft, _why(draft, off, now), now) for draft in reversed(missing.values())]


def _why(draft: Draft, off: Container[str], now: int) -> What:
    if draft.category in off:
        return What.MUTED
    if draft.expire_date is not None and draft.expire_date <= now:
        return What.EXPIRED
    return What.REPLACED
