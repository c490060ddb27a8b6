"""The Store contract: the truth of PNS. Everything else is a hint or a view.

`tests/adapters/stores/` holds one suite for all implementations. Every implementation promises:

- **Durable.** A writing method returns after its rows are on disk, or raises and has written nothing.
- **Group commit.** Writes that wait at the same time share one commit. Each write is whole or not at all,
  and does not depend on its neighbours. The write of a cancelled caller stays in the batch, and `committed`
  is called all the same. You must signal a change to devices from `committed`, not after the return.
- **Counts cannot drift.** All numbers change in the transaction that changes the rows: `unseen`, `unread` and
  those of each category. `version` rises with every change of the count and is read with it; `Counts.version`
  rises with every change of the user's notifications and is read with all numbers.
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

from pns.contracts.acts import Acts
from pns.contracts.announcements import Announcements
from pns.contracts.audiences import Audiences
from pns.contracts.categories import Categories
from pns.contracts.later import Later
from pns.contracts.outbox import Outbox
from pns.contracts.timeline import Timeline
from pns.contracts.webhooks import Webhooks
from pns.model.counts import Counts
from pns.model.mark import Mark
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

Users = Callable[[Collection[str]], object]
"""Called with the users who lost notifications, as a Committed is: after the commit, in the event loop."""


class Submission(msgspec.Struct, frozen=True):
    """One request's notifications for one user, in order. `cause`: the audience, if not this user alone.

    `user_key`: the key of a user who was found in the store. Nothing is stored after the user's erasure.
    """

    user_id: str
    notifications: tuple[Notification, ...]
    cause: Cause | None = None
    user_key: int | None = None


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


class Appended(msgspec.Struct, frozen=True):
    """The result of a request: its ids in request order, and the number of new notifications."""

    notification_ids: list[str]
    created: int
    """The number of new notifications; 0 for a request whose notifications were all known."""
    changed: dict[str, State]
    """The users whose count changed, each with the count that the commit left, without revocations."""
    waiting: int = 0
    """How many of the new ones wait for their `deliver_date`."""


class Place(NamedTuple):
    """Where a notification stands, or stood, in a user's order. After an erasure the user has another key."""

    user_key: int
    seq: int = 0


class CountsOf(NamedTuple):
    """Whose counts, and of which categories: these, or None for those with something unread."""

    user_id: str
    categories: tuple[str, ...] | None = None


class Marked(NamedTuple):
    """The result of a mark. `changed`: notifications that the mark changed. `seen`: of these, the unseen
    ones.

    `unseen` and `unread` are the user's counts afterwards, for a mark that was asked to count. Unread are the
    unseen notifications, and the seen ones without `read_date`.
    """

    changed: int = 0
    seen: int = 0
    unseen: int = 0
    unread: int = 0


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of an inbox: oldest first after `after` or `place`, or newest first before `before`.

    `after` and `before` are ids; `before=""` starts at the newest. Reading goes on after a `place` even when
    the notification of this place is gone, and ends when the user has another key. `received_after` filters
    by `create_date`, strictly later. `category`, `unread` and `archived` leave out all others; `archived`
    None takes both. A page ends at `limit` items or before `max_bytes` of notification_data are exceeded, but
    holds at least one item.
    """

    after: str = ""
    before: str | None = None
    place: Place | None = None
    received_after: int | None = None
    category: str | None = None
    unread: bool = False
    archived: bool | None = None
    limit: int
    max_bytes: int


class Presence(NamedTuple):
    """The number of a device's connections on one node, the oldest since `since`."""

    user_id: str
    device_id: str
    connections: int
    since: int


class Visitor(NamedTuple):
    """A user who was connected or sent a message. `revocation`: how new the login is, see
    `newest_revocation`.
    """

    user_id: str
    revocation: int


class LivingNode(NamedTuple):
    """A node that holds a lease. `connections`: as the node last reported."""

    node_id: str
    release: str | None
    lease_until: int
    connections: int


class StoreReport(NamedTuple):
    """The doctor's report of a store. `schema`: the store's schema. `code`: the schema of this release.
    `doubt`: why the store's place may lose what was stored, or empty.
    """

    place: str
    schema: int
    oldest_code: int
    code: int
    durability: str
    durable: bool
    doubt: str = ""


class Store(Protocol):
    """See the module's docstring for what every method promises."""

    @property
    def outbox(self) -> Outbox:
        """Devices at push networks and pushes on their way to them."""

    @property
    def audiences(self) -> Audiences:
        """Topics, buckets and publications."""

    @property
    def announcements(self) -> Announcements:
        """Broadcasts that are one row each."""

    @property
    def categories(self) -> Categories:
        """Declared categories, and what users chose."""

    @property
    def acts(self) -> Acts:
        """The audit of the operator's page."""

    @property
    def webhooks(self) -> Webhooks:
        """Events for the application, on their way."""

    @property
    def later(self) -> Later:
        """Notifications that wait for their time."""

    @property
    def timeline(self) -> Timeline:
        """What a timeline is made of."""

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
        user's unseen notification with the same key. An expired notification is not kept, and neither is a
        notification of a category without inbox for this user; see pns.contracts.categories. A notification
        whose `deliver_date` lies ahead waits until then; see pns.contracts.later.

        A notification with a `group` inherits the group of the removed notification, if this has one and has
        not expired, and joins the group. The group's newest ids stay known while its notification is kept;
        of their data a digest is compared.
        """

    async def unseen(self, user_id: str, *, limit: int, max_bytes: int, category: str | None = None) -> Page:
        """The oldest unseen notifications, of one category or of all, oldest first. Marks nothing."""

    async def seen(self, user_id: str, cursor: Cursor) -> Page:
        """Seen notifications; archived ones only if `cursor` asks for them alone.

        Raises UnknownNotification when the notification of the cursor is gone.
        """

    async def inbox(self, user_id: str, cursor: Cursor) -> Page:
        """Seen and unseen notifications alike. Raises UnknownNotification as `seen` does."""

    async def place(self, user_id: str, notification_id: str) -> Place:
        """Where a notification stands in the user's order. Raises UnknownNotification when it is gone."""

    async def mark_sent_seen(
        self, user_key: int, seqs: Sequence[int], *, committed: Committed[int] | None = None
    ) -> int:
        """Set `seen_date` of the unseen among `seqs`; returns their number. A stale `user_key` has none."""

    async def mark_seen(
        self, user_id: str, notification_ids: Sequence[str], *, committed: Committed[int] | None = None
    ) -> int:
        """Set `seen_date` of the unseen among `notification_ids`; returns their number.

        As with every method that marks as seen: the notifications are then seen and not read.
        """

    async def mark_seen_up_to(
        self, user_id: str, notification_id: str, *, committed: Committed[int] | None = None
    ) -> int:
        """Set `seen_date` of all unseen notifications up to `notification_id` in the user's order.

        Returns their number. The notification itself may be seen. Raises UnknownNotification when the
        notification is gone.
        """

    async def mark_all_seen(self, user_id: str, *, committed: Committed[int] | None = None) -> int:
        """Set `seen_date` of all notifications unseen at the call, in small commits; returns their number."""

    async def mark(
        self,
        user_id: str,
        mark: Mark,
        *,
        last: Place | None = None,
        counted: bool = False,
        committed: Committed[Marked] | None = None,
    ) -> Marked:
        """Set or clear marks of the user's notifications, in small commits; returns what changed.

        Archived ⇒ read ⇒ seen: setting a mark sets the empty marks before it in the same statement.
        `seen_date` is set once. `unread` clears `read_date` and `archived_date`, and makes nothing unseen.
        Ids are marked in one commit. All else is found first, and marked up to `mark.up_to`, or up to the
        newest at the call, or in place of both up to `last`; a stale `last` has nothing. `counted`: the last
        commit counts what is unseen and unread. Raises UnknownNotification when `mark.up_to` is gone.
        """

    async def withdraw(
        self, user_id: str, notification_id: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        """Remove one notification, also while it waits; returns whether the store had the notification."""

    async def take_out(
        self, user_id: str, notification_id: str, member: str, *, committed: Committed[bool] | None = None
    ) -> bool:
        """Take `member`, with all its times, out of the group that took in `notification_id`.

        Removes the group's notification when no times are left. Returns whether the group had the member.
        """

    # ── users ─────────────────────────────────────────────────────────────────────────────────────────

    async def states(self, user_ids: Collection[str]) -> dict[str, State]:
        """The state of each of `user_ids`, each read in one go. Never waits behind a large page."""

    async def counts(self, asked: Collection[CountsOf]) -> dict[CountsOf, Counts]:
        """The counts that each of `asked` wants, each read in one go. Never waits behind a large page.

        Categories that are asked for by name are told with zeros, too.
        """

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

    async def renew_lease(
        self, node_id: str, until: int, presences: Sequence[Presence], *, visitors: Sequence[Visitor] = ()
    ) -> None:
        """Hold the node's lease until `until`, and record `presences` (0 connections: gone).

        The store knows every one of `visitors` from now on, except a user who was revoked or erased after
        the login, and notes once a day that the user was connected.
        """

    async def end_lease(self, node_id: str) -> None:
        """Forget the node and all its presences."""

    async def presences(self, user_id: str, *, except_node: str) -> list[Presence]:
        """The user's devices on the other nodes whose lease has not lapsed."""

    async def fleet(self) -> list[LivingNode]:
        """The nodes that hold a lease, in the order of their ids."""

    # ── upkeep ────────────────────────────────────────────────────────────────────────────────────────

    async def expire(
        self, limit: int, *, committed: Committed[frozenset[str]] | None = None
    ) -> frozenset[str]:
        """Remove at most `limit` notifications whose `expire_date` has passed; returns the users concerned.

        Costs one read when nothing has expired.
        """

    async def prune(
        self,
        *,
        seen_before: int | None,
        limit: int,
        pruned: Users | None = None,
    ) -> int:
        """Remove at most `limit` rows that are not needed any more; returns their number.

        Notifications seen before `seen_before` (None: keep them all), rows of erased users, nodes whose
        lease lapsed, revocations of more than a day ago and used tickets that expired.
        """

    async def secret(self) -> str:
        """The session secret of all nodes; made at the first call."""

    async def vapid_key(self) -> str:
        """The private VAPID key (RFC 8292) of all nodes, base64url; made at the first call."""

    async def webhook_secret(self) -> str:
        """The secret that signs webhooks, as Standard Webhooks writes secrets; made at the first call."""

    async def foreign_changes(self) -> int:
        """A number that changes after a write of another process; for engines without a bus of their own."""
