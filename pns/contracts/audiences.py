"""The Audiences contract: whom a notification is for when it is not for one user. A part of the Store.

A topic is a name that users subscribe to. A bucket is a collection that users want to hear about when it
changes. Everybody is every user that the store knows. A publication is a notification on its way to an
audience: stored once, then spread in bounded steps to the inboxes of its subscribers.

- **Exactly once for each subscriber.** A step and how far it came are one commit: a step is taken once,
  whatever was cut off and whichever nodes try.
- A step is a small commit; nothing of it is held while another user's notify waits.
- Who subscribes after `publish`, or unsubscribes before their turn, may or may not be reached.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from pns.model.notification import Notification
from pns.model.push import Cause, PushTerms

EVERYBODY = "everybody"
"""The audience of every user that the store knows."""


class Publication(Struct, frozen=True, kw_only=True):
    """Notifications for an audience: `topic/…`, `bucket/…` or EVERYBODY. Every one of them has its id.

    `after`: the key of the last user reached. `reached`: how many so far. `end_date`: when all were.
    """

    publication_id: str
    audience: str
    notifications: tuple[Notification, ...]
    cause: Cause = Cause()
    create_date: int
    after: int = 0
    reached: int = 0
    end_date: int | None = None


class Subscriber(NamedTuple):
    """A user of an audience; publications reach them in the order of their keys."""

    user_key: int
    user_id: str


class Reached(NamedTuple):
    """What a step of a publication stored: how many notifications, and the users whose count changed."""

    created: int
    changed: frozenset[str]


class Change(StrEnum):
    """What happened to an object of a bucket, or to the bucket."""

    CREATED = "DATA_OBJECT_CREATED"
    UPDATED = "DATA_OBJECT_UPDATED"
    DELETED = "DATA_OBJECT_DELETED"
    BODY_UPDATED = "DATA_OBJECT_BODY_UPDATED"
    BODY_DELETED = "DATA_OBJECT_BODY_DELETED"
    ACL_MODIFIED = "DATA_OBJECT_ACL_MODIFIED"
    BUCKET_DELETED = "BUCKET_DELETED"


class Audiences(Protocol):
    """See the module's docstring for what every method promises."""

    async def make(self, audience: str) -> bool:
        """Make a topic or a bucket; returns whether it is new."""

    async def remove(self, audience: str) -> bool:
        """Remove it with all its subscriptions; returns whether it was there."""

    async def exists(self, audience: str) -> bool: ...

    async def subscribe(self, audience: str, user_id: str, *, make: bool) -> bool:
        """Subscribe a user, who is known from then on; safe to repeat. `make`: the audience, if need be.

        Returns False when there is no such audience.
        """

    async def unsubscribe(self, audience: str, user_id: str) -> None:
        """Safe to repeat."""

    async def subscribed(self, audience: str, user_id: str) -> bool: ...

    async def subscriptions(self, user_id: str) -> list[str]:
        """What the user is subscribed to, in the order of names."""

    async def publish(self, publication: Publication) -> Publication:
        """Keep a publication, durable when this returns; one with this id that is there already stays."""

    async def publication(self, publication_id: str) -> Publication | None: ...

    async def due_publication(self, until: int) -> Publication | None:
        """Lease a publication that nobody spreads, until `until`: the one that has waited longest.

        Of one audience there is one at a time, in the order in which they were published: what collapses is
        replaced by what came later, and never by what came before.
        """

    async def subscribers(self, audience: str, *, after: int, limit: int) -> Sequence[Subscriber]:
        """The next users of an audience, in the order of their keys."""

    async def reach(
        self,
        publication: Publication,
        users: Sequence[Subscriber],
        *,
        complete: bool,
        terms: PushTerms | None = None,
        committed: Callable[[Reached | None], object] | None = None,
    ) -> Reached | None:
        """Take a step: store the publication's notifications for `users`, the next after `publication.after`,
        and record that it came to the last of them, all in one commit. `complete`: they are the last of all.

        As Store.append, but without a conflict: what a user holds under one of the ids is kept, and that
        notification alone is left out for that user. A user who was erased since is left out. Returns None,
        and nothing is stored, when the publication does not stand at `publication.after` any more or is
        complete: another node took this step. `committed` is called with the same; see
        pns.contracts.store.Committed.
        """

    async def rest(self, publication_id: str, *, lease: int) -> None:
        """End the lease that was taken until `lease`: it waits behind all that wait already.

        Nothing happens when it is not leased until then: another node goes on with it.
        """

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        """Remove at most `limit` that were complete before; returns how many there were."""
