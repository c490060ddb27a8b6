"""The Audiences contract: whom a notification is for when it is not for one user. A part of the Store.

A topic is a name that users subscribe to. A bucket is a collection that users want to hear about when it
changes. Everybody is every user that the store knows. A publication is a notification on its way to an
audience: stored once, then spread in bounded steps to the inboxes of its subscribers.

- **Exactly once for each subscriber.** Every step repeats safely: the notification has one id for all.
- A step is a small commit; nothing of it is held while another user's notify waits.
- Who subscribes after `publish`, or unsubscribes before their turn, may or may not be reached.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from pns.notification import Notification
from pns.push import Origin

EVERYBODY = "everybody"
"""The audience of every user that the store knows."""


class Publication(Struct, frozen=True, kw_only=True):
    """Notifications for an audience: `topic/…`, `bucket/…` or EVERYBODY. Every one of them has its id.

    `after`: the key of the last user reached. `reached`: how many so far. `end_date`: when all were.
    """

    publication_id: str
    audience: str
    notifications: tuple[Notification, ...]
    origin: Origin = Origin()
    create_date: int
    after: int = 0
    reached: int = 0
    end_date: int | None = None


class Subscriber(NamedTuple):
    """A user of an audience; publications reach them in the order of their keys."""

    user_key: int
    user_id: str


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

    async def advance(
        self, publication_id: str, *, after: int, reached: int, until: int, complete: bool
    ) -> None:
        """Record that a publication came to `after`, with `reached` more users, and end the lease at
        `until`; `complete`: it has reached everybody.
        """

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        """Remove at most `limit` that were complete before; returns how many there were."""
