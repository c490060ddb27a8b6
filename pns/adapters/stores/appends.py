"""Requests to append, decided in memory: the part of a batch that both engines share.

A batch decides its requests one after the other, then stores the outcome of all. Knows no statement and
touches no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pns.adapters.stores.additions import Additions, number_of_rows
from pns.adapters.stores.drafts import Draft, by_user, to_store, to_wait, with_known_key
from pns.adapters.stores.preferences import Off
from pns.adapters.stores.timeline import passed_over
from pns.contracts.store import Appended, State
from pns.errors import NotificationIdConflict
from pns.model.push import PushSchedule
from pns.model.webhook import NO_WEBHOOK, WebhookKind, WebhookTerms


class Append(NamedTuple):
    """One request to append."""

    wanted: Sequence[Draft]
    now: int
    terms: PushSchedule | None = None
    webhook: WebhookTerms = NO_WEBHOOK
    noting: bool = False
    """Note for timelines what is replaced, and what is not stored."""

    @property
    def needs_no_lock(self) -> bool:
        """Whether a single statement stores this request, whatever rows are stored."""
        return WebhookKind.UNSEEN not in self.webhook.kinds and all(draft.is_plain for draft in self.wanted)

    @property
    def needs_version(self) -> bool:
        """Whether a single statement stores this request, if the inboxes have the version of when they were
        read. A version tells nothing of waiting notifications, which given ids may name.
        """
        return WebhookKind.UNSEEN not in self.webhook.kinds and all(draft.is_new for draft in self.wanted)


def noted_at(requests: Iterable[Append]) -> int | None:
    """The time of the notes on replaced notifications; None where no timelines are kept."""
    return max((request.now for request in requests if request.noting), default=None)


def decide(
    inboxes: Mapping[str, Additions], request: Append, *, keys: Mapping[str, int], off: Off
) -> Appended | NotificationIdConflict:
    """Add the new notifications of `request` to `inboxes`, by user. A conflict adds nothing.

    `keys`: the keys of users, at least the keys of `users_with_key`. The states of `changed` are empty, until
    `complete` is called.
    """
    if not off and _is_simple(request.wanted):
        return _take(inboxes, request)
    wanted = by_user(with_known_key(request.wanted, keys))
    try:
        new = {
            user_id: to_store(some, inboxes[user_id].known, request.now, off=off.get(user_id, ()))
            for user_id, some in wanted.items()
        }
    except NotificationIdConflict as conflict:
        return conflict
    waiting = {user_id: to_wait(some, inboxes[user_id].data) for user_id, some in wanted.items()}
    count = sum(map(len, waiting.values()))
    for user_id, some in new.items():
        inbox = inboxes[user_id]
        if request.noting:
            inbox.passed += passed_over(
                wanted[user_id], some, known=inbox.data, off=off.get(user_id, ()), now=request.now
            )
        inbox.add(some, request.now, request.terms)
        inbox.wait(waiting[user_id])
        if not request.noting:
            inbox.passed.clear()
    return Appended(
        [draft.notification_id for draft in request.wanted],
        created=sum(map(number_of_rows, new.values())) + count,
        changed={user_id: State() for user_id, some in new.items() if some},
        waiting=count,
    )


def _is_simple(wanted: Sequence[Draft]) -> bool:
    """Whether all of `wanted` are stored, and none of them replaces another."""
    if len(wanted) > 1 and any(draft.collapse_key is not None for draft in wanted):
        return False
    return all(draft.is_new and draft.expire_date is None for draft in wanted)


def _take(inboxes: Mapping[str, Additions], request: Append) -> Appended:
    """Add all of `request`, as `decide` does, where nothing is to decide: most requests are such."""
    for draft in request.wanted:
        inbox = inboxes[draft.user_id]
        inbox.add((draft,), request.now, request.terms)
        if not request.noting:
            inbox.passed.clear()
    return Appended(
        [draft.notification_id for draft in request.wanted],
        created=len(request.wanted),
        changed={draft.user_id: State() for draft in request.wanted},
        waiting=0,
    )


def complete(outcomes: Iterable[Appended | NotificationIdConflict], states: Mapping[str, State]) -> None:
    """Put the users' states into what `decide` returned."""
    for outcome in outcomes:
        if isinstance(outcome, Appended):
            for user_id in outcome.changed:
                outcome.changed[user_id] = states[user_id]
