"""Copies of a publication for many users at once: the part that both engines share.

Most users of an audience get the same rows, in their next places. Sets of statements store such copies. A
user whose inbox or preferences decide about the outcome is looked at alone, as by an append. Knows no
statement and touches no database.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pns.adapters.stores.appends import Append
from pns.adapters.stores.drafts import Draft, drafts, size
from pns.adapters.stores.group_commit import SMALL_WRITE
from pns.contracts.audiences import Publication, Reached, Subscriber
from pns.contracts.store import Appended, Submission
from pns.model.push import PushSchedule
from pns.model.webhook import WebhookKind

ALONE_USERS, ALONE_ROWS = 100, 500
"""The most users of a step who are looked at alone, and the most notifications for them: each takes about as
long as ten copies.
"""


class Copies(NamedTuple):
    """The rows that each user without a say gets, one after the other. `push`: the terms of their pushes."""

    drafts: Sequence[Draft]
    now: int
    push: PushSchedule | None

    @property
    def ids(self) -> list[str]:
        return [draft.notification_id for draft in self.drafts]

    @property
    def collapse_keys(self) -> list[str]:
        return [draft.collapse_key for draft in self.drafts if draft.collapse_key is not None]

    @property
    def categories(self) -> list[str]:
        return [draft.category for draft in self.drafts if draft.category is not None]

    @property
    def due_at(self) -> int | None:
        return None if self.push is None else self.push.due_at(self.now)

    @property
    def expires_at(self) -> int | None:
        return None if self.push is None else self.push.expires_at(self.now)


class Step(NamedTuple):
    """A step of a publication, as asked for. `copies`: None where each user is looked at. `alone`: an append
    of nothing yet, with the terms of the step.
    """

    publication: Publication
    users: Sequence[Subscriber]
    end: int
    complete: bool
    copies: Copies | None
    alone: Append
    ahead: bool = False

    @property
    def user_keys(self) -> list[int]:
        return [user.user_key for user in self.users]

    @property
    def size(self) -> int:
        """The bytes of the step in the queue of the writer, about."""
        one = drafts([Submission("", self.publication.notifications, self.publication.cause)], self.alone.now)
        return SMALL_WRITE + size(one) * len(self.users)


class Parted(NamedTuple):
    """The part of a step that is taken: its users in order, who get copies or are looked at alone."""

    users: Sequence[Subscriber]
    alike: Sequence[Subscriber]
    alone: Sequence[Subscriber]
    end: int
    complete: bool

    def reached(self, copied: int, appended: Appended) -> Reached:
        """The result, after each of `alike` got so many copies."""
        changed = [*appended.changed, *(user.user_id for user in self.alike)]
        created = appended.created + copied * len(self.alike)
        return Reached(created, frozenset(changed), len(self.users), self.end, self.complete)


def step_to(
    publication: Publication, users: Sequence[Subscriber], *, end: int | None, complete: bool, alone: Append
) -> Step:
    """A step to `end`, or to the last of `users`."""
    last = users[-1].user_key if users else publication.after
    return Step(
        publication, users, last if end is None else end, complete, _copies_of(publication, alone), alone
    )


def _copies_of(publication: Publication, alone: Append) -> Copies | None:
    """None where each user must be looked at: a group grows by the user's rows,
    a webhook is told by the user's turn, and notifications of a publication may concern each other.
    """
    wanted = drafts([Submission("", publication.notifications, publication.cause)], alone.now)
    copies = Copies(wanted, alone.now, alone.terms)
    keys = [*copies.ids, *(f" {key}" for key in copies.collapse_keys)]
    if len(set(keys)) < len(keys) or not all(_is_alike(draft, alone) for draft in wanted):
        return None
    return copies


def _is_alike(draft: Draft, alone: Append) -> bool:
    now, webhook = alone.now, alone.webhook
    if draft.group is not None or draft.deliver_date is not None:
        return False
    if draft.expire_date is not None and draft.expire_date <= now:
        return False
    return WebhookKind.UNSEEN not in webhook.kinds or webhook.due_at(draft.webhook, now) is None


def part(step: Step, with_a_say: Collection[int]) -> Parted:
    """The part of a step that is taken, and its end. `with_a_say`: the keys of users who are looked at alone.
    A step has few of these users, at least one.
    """
    if not with_a_say:
        return Parted(step.users, step.users, (), step.end, step.complete)
    users, end, complete = step.users, step.end, step.complete
    most = max(1, min(ALONE_USERS, ALONE_ROWS // len(step.publication.notifications)))
    alone = [number for number, user in enumerate(users) if user.user_key in with_a_say]
    if len(alone) > most:
        users = users[: alone[most]]
        end, complete = step.end if step.ahead else users[-1].user_key, False
    return Parted(
        users,
        [user for user in users if user.user_key not in with_a_say],
        [user for user in users if user.user_key in with_a_say],
        end,
        complete,
    )
