"""The Audiences contract: notifications for more than one user. A part of the Store.

A topic is a name that users subscribe to. A bucket is a collection whose changes its users hear of. Everybody
is every user of the store. A publication is a notification on its way to an audience: stored once, then
spread in bounded steps to the inboxes of the subscribers.

- **Exactly once for each subscriber.** A step and its progress are one commit. Each step is taken once,
  after any interruption and with any number of nodes.
- A step is a small commit. A step holds no lock while the notify of another user waits.
- A user who subscribes after `publish`, or unsubscribes before the user's turn, may or may not be reached.
- **Taken back whole.** A publication that is taken back reaches nobody from then on. Its unseen notifications
  are removed in steps of the same kind, from every user who has one of its ids with its data.

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
    which all were reached. `taken_back`: the number of users from whom the publication was taken back, None
    until somebody asks for that; `after` then is the last user who was looked at. `taken_back_date`: the time
    at which it was taken back from all. `seen_since`, of EVERYBODY alone: leaves out the users who were
    connected last before then. `announcement`: the number of a publication that is one row, see
    pns.contracts.announcements. `ahead`: the keys of users who were reached ahead of their turn, in the order
    of reaching, until all are reached.
    """

    publication_id: str
    audience: str
    notifications: tuple[Notification, ...]
    cause: Cause = Cause()
    create_date: int
    after: int = 0
    reached: int = 0
    end_date: int | None = None
    seen_since: int | None = None
    taken_back: int | None = None
    taken_back_date: int | None = None
    announcement: int | None = None
    ahead: tuple[int, ...] = ()


class Subscriber(NamedTuple):
    """A user of an audience; publications reach them in the order of their keys."""

    user_key: int
    user_id: str


class Stretch(NamedTuple):
    """The next users that a step is about. `end`: the key of the last user who was looked at, whether among
    `users` or not. `complete`: no user comes after `end`.
    """

    users: Sequence[Subscriber]
    end: int
    complete: bool


class TakenBack(NamedTuple):
    """The result of a step: the number of notifications that were taken back, and the users who had them."""

    notifications: int
    changed: frozenset[str]


class Reached(NamedTuple):
    """The result of a step: the number of stored notifications, the users whose count changed, how many of
    the step's users were reached, and the key at which the next step begins. `complete`: no user comes after
    `end`.
    """

    created: int
    changed: frozenset[str]
    users: int
    end: int
    complete: bool


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

    async def publications(
        self, before: Publication | None, *, limit: int, max_bytes: int
    ) -> list[Publication]:
        """The newest publications, or the newest before `before`. Newest first by `create_date`, then by id.

        A page ends at `limit` or before `max_bytes` of content are exceeded, but holds at least one.
        """

    async def due_publication(self, until: int) -> Publication | None:
        """Lease until `until` the publication that has waited longest, of those without a lease.

        Publications for one audience are leased one after the other, in the order of publishing: a later
        notification replaces an earlier notification with the same collapse key, and never the reverse.
        """

    async def subscribers(self, audience: str, *, after: int, limit: int) -> Sequence[Subscriber]:
        """The next users of an audience, in the order of their keys."""

    async def connected(self, publication: Publication, *, limit: int) -> Sequence[Subscriber]:
        """The users of a topic or a bucket who are connected now, to whichever node, and not reached ahead.

        At most `limit` devices are looked at.
        """

    async def due_seen(self, until: int) -> Publication | None:
        """As `due_publication`, of those with `seen_since` or `ahead`."""

    async def seen_users(self, publication: Publication, *, limit: int) -> Stretch:
        """The next at most `limit` users after `publication.after` who were connected last since
        `publication.seen_since`. A connection after the publication does not count.

        Looks at a bounded number of users.
        """

    async def reach(
        self,
        publication: Publication,
        users: Sequence[Subscriber],
        *,
        complete: bool,
        end: int | None = None,
        ahead: bool = False,
        terms: PushSchedule | None = None,
        committed: Callable[[Reached | None], object] | None = None,
    ) -> Reached | None:
        """Take a step: store the publication's notifications for `users`, the next after `publication.after`,
        and record the last of them as reached, or `end`, all in one commit. `complete`: no user comes after
        them. The step may end before the last of `users`: many may get the same rows at once, but few may be
        looked at alone. The result says where. `ahead`: `users` are any, reached before their turn; the
        caller then leaves them out of later steps, see Publication.ahead.

        The step works as Store.append, but without conflicts. A kept notification with the same id stays, and
        this notification alone is left out for this user. An erased user is left out. Returns None and stores
        nothing when another node took this step: the publication is complete, or past `publication.after`.
        `committed` is called with the result; see pns.contracts.store.Committed.
        """

    async def take_back(self, publication_id: str) -> Publication | None:
        """Let the publication reach nobody any more, and be taken back. Durable at the return. Its
        announcement is gone from then on.

        Returns the publication as kept from now on, None for an unknown one. Safe to repeat.
        """

    async def due_taking_back(self, until: int) -> Publication | None:
        """Lease until `until` the publication that has waited longest, of those that are to be taken back."""

    async def holders(self, publication: Publication, *, limit: int) -> Stretch:
        """The next at most `limit` users after `publication.after` who may have something of it, unseen.

        Looks at a bounded number of users.
        """

    async def take_from(
        self,
        publication: Publication,
        stretch: Stretch,
        *,
        committed: Callable[[TakenBack | None], object] | None = None,
    ) -> TakenBack | None:
        """Take a step: remove from the users of `stretch`, the next after `publication.after`, what is unseen
        of the publication, and record the end of `stretch`, all in one commit.

        A notification with a `group` is taken out of the user's group, as Store.take_out does. Returns None
        and removes nothing when another node took this step. `committed`: as of `reach`.
        """

    @property
    def others(self) -> int:
        """How many writes this store has taken so far, but for the steps of `reach`."""

    async def alone(self) -> bool:
        """Whether no other process can wait for this store's steps: none shares the place of writing."""

    async def rest(self, publication_id: str, *, lease: int) -> None:
        """End the lease that ends at `lease`. The publication waits behind all waiting publications.

        Nothing happens when the lease has another end: another node goes on with the publication.
        """

    async def prune_publications(self, *, ended_before: int, limit: int) -> int:
        """Remove at most `limit` publications that were complete, or taken back, before; returns the number
        removed.
        """
