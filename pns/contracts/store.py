"""The Store contract: the truth of PNS. Everything else is a hint or a view.

`tests/adapters/stores/` holds one suite for all implementations. Every implementation promises:

- **Durable.** A writing method returns after its rows are on disk, or raises and has written nothing.
- **Group commit.** Writes that wait at the same time share one commit. Each write is whole or not at all,
  and does not depend on its neighbours. The write of a cancelled caller stays in the batch, and `committed`
  is called all the same. You must signal a change to devices from `committed`, not after the return.
- **Counts cannot drift.** `unseen` and `version` change in the transaction that changes the rows;
  `version` rises with every change of the count, and both are always read together.
- **Order.** `seq` is a user's own sequence, taken under the user's row: its order is the order of commits.
- **Ids on the outside, keys inside.** An erased user who comes back gets a higher `user_key`.
- Methods raise StoreUnavailable when the engine is away, full, locked or damaged, Overloaded when too much
  waits, and NotificationIdConflict and UnknownNotification as documented. Methods raise nothing else.

Times are microseconds since the epoch. An unknown user is a user with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from pns.contracts.audiences import Audiences
from pns.contracts.outbox import Outbox
from pns.model.notification import Notification, Page
from pns.model.push import Cause, PushSchedule

EVERY_DEVICE = ""
"""As a device id: all devices of the user."""


R = TypeVar("R")
Committed = Callable[[R | None], object]
"""Called right after each commit of a method, in the event loop and before the method goes on.

The argument is the result of this commit, of the method's return type; None when the outcome of the commit is
unknown. A write that was certainly not stored causes no call. The function must neither block nor raise.
"""


class Submission(msgspec.Struct, frozen=True):
    """One request's notifications for one user, in order. `cause`: the audience, if not this user alone.

    `user_key`: the key of a user who was found in the store. Nothing is stored after the user's erasure.
    """

    user_id: str
    notifications: tuple[Notification, ...]
    cause: Cause | None = None
    user_key: int | None = None


class Appended(msgspec.Struct, frozen=True):
    """The result of a request: its ids in request order, and the number of new notifications."""

    notification_ids: list[str]
    created: int
    """The number of stored notifications; 0 for a request whose notifications were all known."""
    changed: frozenset[str]
    """The users whose count changed."""


class State(NamedTuple):
    """The user's state for a connection, read in one go.

    `(user_key, version)` orders the states of a user. A connection never shows an older state after a newer.
    """

    user_key: int = 0
    version: int = 0
    unseen: int = 0
    revocations: Mapping[str, int] = MappingProxyType({})
    """Device id (or EVERY_DEVICE) → number of its newest revocation."""

    def revoked(self, device_id: str) -> int:
        """The number of the newest revocation that concerns `device_id`; 0 for none."""
        if not self.revocations:
            return 0
        return max(self.revocations.get(EVERY_DEVICE, 0), self.revocations.get(device_id, 0))


class Place(NamedTuple):
    """Where a notification stands, or stood, in a user's order. After an erasure the user has another key."""

    user_key: int
    seq: int = 0


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of an inbox: oldest first after `after` or `place`, or newest first before `before`.

    `after` and `before` are ids; `before=""` starts at the newest. Reading goes on after a `place` even when
    the notification of this place is gone, and ends when the user has another key. `received_after` filters
    by `create_date`, strictly later. A page ends at `limit` items or before `max_bytes` of notification_data
    are exceeded, but holds at least one item.
    """

    after: str = ""
    before: str | None = None
    place: Place | None = None
    received_after: int | None = None
    limit: int
    max_bytes: int


class Presence(NamedTuple):
    """The number of a device's connections on one node, the oldest since `since`."""

    user_id: str
    device_id: str
    connections: int
    since: int


class StoreReport(NamedTuple):
    """The doctor's report of a store. `schema`: the store's schema. `code`: the schema of this release."""

    place: str
    schema: int
    oldest_code: int
    code: int
    durability: str
    durable: bool


class Store(Protocol):
    """See the module's docstring for what every method promises."""

    @property
    def outbox(self) -> Outbox:
        """Devices at push networks and pushes on their way to them."""

    @property
    def audiences(self) -> Audiences:
        """Topics, buckets and publications."""

    async def open(self) -> None:
        """Make the store ready, its schema up to date. Raises SchemaError, or StoreUnavailable."""

    async def close(self) -> None:
        """Finish waiting writes and release everything. Safe to call twice, and before `open`."""

    async def check(self) -> None:
        """Return if the store can be read and its last write worked; else raise StoreUnavailable."""

    async def report(self) -> StoreReport:
        """Describe the store without making, migrating or changing it; works before `open`."""

    # ── notifications ─────────────────────────────────────────────────────────────────────────────────

    async def append(
        self,
        submissions: Sequence[Submission],
        terms: PushSchedule | None = None,
        *,
        committed: Committed[Appended] | None = None,
    ) -> Appended:
        """Store all of `submissions`, or nothing; with `terms`, the pushes to the users' devices too.

        (user, notification_id) is a key while the notification is kept. A known notification with equal data
        is not stored again; with other data it raises NotificationIdConflict. A `collapse_key` removes the
        user's unseen notification with the same key. An expired notification is not kept.
        """

    async def unseen(self, user_id: str, *, limit: int, max_bytes: int) -> Page:
        """The oldest unseen notifications, oldest first. Marks nothing."""

    async def seen(self, user_id: str, cursor: Cursor) -> Page:
        """Seen notifications. Raises UnknownNotification when the notification of the cursor is gone."""

    async def inbox(self, user_id: str, cursor: Cursor) -> Page:
        """Seen and unseen notifications alike. Raises UnknownNotification as `seen` does."""

    async def mark_sent_seen(
        self, user_key: int, seqs: Sequence[int], *, committed: Committed[int] | None = None
    ) -> int:
        """Set `seen_date` of the unseen among `seqs`; returns their number. A stale `user_key` has none."""

    async def mark_seen(
        self, user_id: str, notification_ids: Sequence[str], *, committed: Committed[int] | None = None
    ) -> int:
        """Set `seen_date` of the unseen among `notification_ids`; returns their number."""

    async def mark_seen_up_to(
        self, user_id: str, notification_id: str, *, committed: Committed[int] | None = None
    ) -> int:
        """Set `seen_date` of all unseen notifications up to `notification_id` in the user's order.

        Returns their number. The notification itself may be seen. Raises UnknownNotification when the
        notification is gone.
        """

    async def mark_all_seen(self, user_id: str, *, committed: Committed[int] | None = None) -> int:
        """Set `seen_date` of all notifications unseen at the call, in small commits; returns their number."""

    async def withdraw(
        self, user_id: str, notification_id: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        """Remove one notification; returns whether the store had the notification."""

    # ── users ─────────────────────────────────────────────────────────────────────────────────────────

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        """The state of each of `user_ids`, each read in one go. Never waits behind a large page."""

    async def revoke(
        self, user_id: str, device_id: str = EVERY_DEVICE, *, committed: Committed[int] | None = None
    ) -> int:
        """Record a revocation and return its number, higher than any number before."""

    async def newest_revocation(self) -> int:
        """The highest number of `revoke` and `erase` so far; 0 for none.

        Read this number before asking the application for a login. A revocation with a higher number came
        after the question. Numbers, not times: clocks of two machines differ, and a clock may step back.
        """

    async def erase(self, user_id: str, *, committed: Committed[int] | None = None) -> None:
        """Remove the user at once, record it as a revocation, then remove the rows in small commits.

        `committed` is called after the first commit alone, with the removed `user_key`, or None. `prune`
        removes the rows that a cancelled caller or an error leaves behind.
        """

    async def use_ticket(self, ticket_id: str, expires_at: int) -> bool:
        """Record the use of a ticket; returns whether this call was the first, of all nodes.

        The record is kept until `prune` removes it, some minutes after `expires_at`.
        """

    # ── who is connected where ────────────────────────────────────────────────────────────────────────

    async def renew_lease(self, node_id: str, until: int, presences: Sequence[Presence]) -> None:
        """Hold the node's lease until `until`, and record `presences` (0 connections: gone)."""

    async def end_lease(self, node_id: str) -> None:
        """Forget the node and all its presences."""

    async def presences(self, user_id: str, *, except_node: str) -> list[Presence]:
        """The user's devices on the other nodes whose lease has not lapsed."""

    # ── upkeep ────────────────────────────────────────────────────────────────────────────────────────

    async def expire(
        self, limit: int, *, committed: Committed[frozenset[str]] | None = None
    ) -> frozenset[str]:
        """Remove at most `limit` notifications whose `expire_date` has passed; returns the users concerned.

        Costs one read when nothing has expired.
        """

    async def prune(self, *, seen_before: int | None, limit: int) -> int:
        """Remove at most `limit` rows that are not needed any more; returns their number.

        Notifications seen before `seen_before` (None: keep them all), rows of erased users, nodes whose
        lease lapsed, revocations of more than a day ago and used tickets that expired.
        """

    async def secret(self) -> str:
        """The session secret of all nodes; made at the first call."""

    async def vapid_key(self) -> str:
        """The private VAPID key (RFC 8292) of all nodes, base64url; made at the first call."""

    async def foreign_changes(self) -> int:
        """A number that changes after a write of another process; for engines without a bus of their own."""
