"""The Audiences contract: notifications for more than one user. A part of the Store.

A topic is a name that users subscribe to. A bucket is a collection whose changes its users hear of. Everybody
is every user of the store. A publication is a notification on its way to an audience: stored once, then
spread in bounded steps to the inboxes of the subscribers.

- **Exactly once for each subscriber.** A step and its progress are one commit. Each step is taken once,
  after any interruption and with any number of nodes.
- A step is a small commit. A step holds no lock while the notify of another user waits.
- A user who subscribes after `publish`, or unsubscribes before the user's turn, may or may not be reached.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from msgspec import Struct

from pns.model.notification import Notification
from pns.model.push import Cause, PushSchedule

EVERYBODY = "everybody"
"""The audience of every user of the store."""


class Publication(Struct, frozen=True, kw_only=True):
    """Notifications for an audience: `topic/…`, `bucket/…` or EVERYBODY. Every notification has an id.

    `after`: the key of the last reached user. `reached`: the number of reached users. `end_date`: the time at
    which all were reached.
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
    """The result of a step: the number of stored notifications, and the users whose count changed."""

    created: int
    changed: frozenset[str]


class Change(StrEnum):
    """An event of an object of a bucket, or of the bucket."""

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
        """Make a topic or a bucket; returns whether the audience is new."""

    async def remove(self, audience: str) -> bool:
        """Remove an audience with all its subscriptions; returns whether the audience existed."""

    async def exists(self, audience: str) -> bool: ...

    async def subscribe(self, audience: str, user_id: str, *, make: bool) -> bool:
        """Subscribe a user. The store knows the user from now on. `make`: make a missing audience.

        Returns False when the audience is missing. Safe to repeat.
        """

    async def unsubscribe(self, audience: str, user_id: str) -> None:
        """Safe to repeat."""

    async def subscribed(self, audience: str, user_id: str) -> bool: ...

    async def subscriptions(self, user_id: str) -> list[str]:
        """The user's audiences, in the order of names."""

    async def publish(self, publication: Publication) -> Publication:
        """Keep a publication, durable at the return. A kept publication with the same id stays as is."""

    async def publication(self, publication_id: str) -> Publication | None: ...

    async def due_publication(self, until: int) -> Publication | None:
        """Lease until `until` the publication that has waited longest, of those without a lease.

        Publications for one audience are leased one after the other, in the order of publishing: a later
        notification replaces an earlier notification with the same collapse key, and never the reverse.
        """

    async def subscribers(self, audience: str, *, after: int, limit: int) -> Sequence[Subscriber]:
        """The next users of an audience, in the order of their keys."""

    async def reach(
        self,
        publication: Publication,
        users: Sequence[Subscriber],
        *,
        complete: bool,
        terms: PushSchedule | None = None,
        committed: Callable[[Reached | None], object] | None = None,
    ) -> Reached | None:
        """Take a step: store the publication's notifications for `users`, the next after `publication.after`,
        and record the last of them as reached, all in one commit. `complete`: no user comes after them.

        The step works as Store.append, but without conflicts. A kept notification with the same id stays, and
        this notification alone is left out for this user. An erased user is left out. Returns None and stores
        nothing when another node took this step: the publication is complete, or past `publication.after`.
        `committed` is called with the result; see pns.contracts.store.Committed.
        """

    async def rest(self, publication_id: str, *, lease: int) -> None:
        """End the lease that ends at `lease`. The publication waits behind all waiting publications.

        Nothing happens when the lease has another end: another node goes on with the publication.
        """

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        """Remove at most `limit` publications that were complete before; returns the number removed."""
