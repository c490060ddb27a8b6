"""Marking many notifications in steps: the part that both engines share.

Places are found by reading, some at a time, which holds no write up. Each step then marks the places that
still need the mark, in a commit of its own. Knows no database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from pns.adapters.stores.group_commit import MARKED_AT_ONCE
from pns.contracts.store import Marked, Place
from pns.model.mark import Mark, MarkAs
from pns.model.webhook import NO_WEBHOOK, WebhookKind, WebhookTerms

Find = Callable[[str, dict[str, object]], Awaitable[list[int]]]
"""Finds places by the statement of this name with these parameters."""
Write = Callable[[Sequence[int], "Step"], Awaitable[Marked]]
"""Marks places in a commit of its own."""

MARKING = {
    MarkAs.SEEN: "mark_seen",
    MarkAs.READ: "mark_read",
    MarkAs.ARCHIVED: "mark_archived",
    MarkAs.UNREAD: "mark_unread",
    MarkAs.UNARCHIVED: "mark_unarchived",
}
"""The statements that mark places."""


class Step(NamedTuple):
    """One commit of a mark. `counted`: the commit also counts what is unseen and unread afterwards.

    `webhook`: the terms of the mark's events for the application.
    """

    as_: MarkAs
    now: int
    counted: bool
    webhook: WebhookTerms = NO_WEBHOOK


def told_by(as_: MarkAs) -> list[tuple[WebhookKind, str]]:
    """The events of a mark for the application, and the statements for their ids before the mark."""
    seen = [(WebhookKind.SEEN, "unseen_ids_at")] if as_.shows else []
    return seen + ([(WebhookKind.READ, "unread_ids_at")] if as_ in (MarkAs.READ, MarkAs.ARCHIVED) else [])


def searches(mark: Mark) -> list[str]:
    """The statements that find the places which may need the mark, one after the other."""
    if mark.category is not None:
        return ["category_places"]
    if mark.collapse_key is not None:
        return ["subject_unseen"] + (["subject_places"] if mark.as_ is not MarkAs.SEEN else [])
    beside = {MarkAs.READ: ["unread_places"], MarkAs.ARCHIVED: ["listed_places"]}
    return ["unseen_places", *beside.get(mark.as_, [])]


async def mark_in_steps(mark: Mark, last: Place, *, find: Find, write: Write, step: Step) -> Marked:
    """Mark all places up to `last`, each step as `step` says; only the last step counts.

    The result adds up the changes of all steps.
    """
    changed, seen = 0, 0
    waiting: list[int] = []
    async for places in _found(mark, last, find):
        if len(waiting) + len(places) > MARKED_AT_ONCE:
            marked = await write(waiting, step._replace(counted=False))
            changed, seen, waiting = changed + marked.changed, seen + marked.seen, []
        waiting = waiting + places
    if not (waiting or step.counted):
        return Marked(changed, seen)
    marked = await write(waiting, step)
    return marked._replace(changed=changed + marked.changed, seen=seen + marked.seen)


async def _found(mark: Mark, last: Place, find: Find) -> AsyncIterator[list[int]]:
    where: dict[str, object] = {
        "user_key": last.user_key,
        "last_seq": last.seq,
        "collapse_key": mark.collapse_key,
        "category": mark.category,
        "as_": mark.as_,
        "limit": MARKED_AT_ONCE,
    }
    for name in searches(mark):
        places = await find(name, {**where, "after": 0})
        while places:
            yield places
            if len(places) < MARKED_AT_ONCE:
                break
            places = await find(name, {**where, "after": places[-1]})
