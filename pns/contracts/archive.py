"""The Archive contract: a store as rows, to be moved into another store while neither is in use.

A Store answers for users; an Archive hands out whole tables in the order of their keys and takes them as they
are, numbers and versions included. `pns copy` is all that uses it (pns/ops/copy/). Who is connected where,
and which tickets were used, is of the moment and stays behind. Nothing here watches over the store's rules:
the rows kept them before.

Methods raise StoreUnavailable, beginning with the place, when the engine is away, full, locked or damaged, or
refuses a row. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec


class UserRow(NamedTuple):
    """A user, with the count that the devices were shown. The store counts all else by itself, row by row."""

    user_key: int
    user_id: str
    last_seq: int
    unseen: int
    version: int
    choices: int
    other_changes: int = 0
    last_connected_at: int = 0
    connected_before: int | None = None
    announced_up_to: int = 0


class ErasedRow(NamedTuple):
    """A user who was erased, and whose notifications are still to be removed."""

    user_key: int


class NotificationRow(NamedTuple):
    """A notification in its place."""

    user_key: int
    seq: int
    notification_id: str
    data: str
    create_date: int
    seen_date: int | None
    category: str | None
    collapse_key: str | None
    expire_date: int | None
    push: str | None
    read_date: int | None
    archived_date: int | None
    group_key: int | None
    grouped: str | None
    webhook: int | None


class PendingRow(NamedTuple):
    """A notification that waits for its time."""

    user_key: int
    notification_id: str
    deliver_date: int
    snoozed: int
    member: str | None
    data: str
    create_date: int
    category: str | None
    collapse_key: str | None
    expire_date: int | None
    push: str | None
    group_key: int | None
    grouped: str | None
    webhook: int | None


class ErasedPendingRow(NamedTuple):
    """A user who was erased, and what waited for the user is still to be removed."""

    user_key: int


class GroupMemberRow(NamedTuple):
    """A member that a group tells apart."""

    user_key: int
    group_key: int
    member: str
    times: int
    last: int


class GroupIdRow(NamedTuple):
    """An id that a group took in."""

    user_key: int
    group_key: int
    slot: int
    notification_id: str
    digest: int


class EndedGroupRow(NamedTuple):
    """A group without a notification, whose rows are still to be removed."""

    user_key: int
    group_key: int


class RevocationRow(NamedTuple):
    """The newest revocation of a user or a device."""

    revocation: int
    user_id: str
    device_id: str
    revoked_at: int


class DeviceRow(NamedTuple):
    """A device at a push network, and its user."""

    device_id: str
    user_key: int
    network: str
    gateway: str
    address: str
    address_hash: str
    keys: str
    app: str
    environment: str
    platform: str
    badge: int | None
    registered_at: int
    expires_at: int | None


class PushRow(NamedTuple):
    """A push on its way, or what became of it."""

    push_key: int
    user_key: int
    seq: int | None
    notification_id: str
    device_id: str
    network: str
    gateway: str
    state: str
    attempts: int
    due_at: int
    expires_at: int
    badge: int | None
    reason: str | None
    provider_id: str | None
    dismissed: str | None
    changed_at: int


class AudienceRow(NamedTuple):
    """A topic or a bucket."""

    audience: str
    create_date: int


class SubscriptionRow(NamedTuple):
    """A user of an audience."""

    audience: str
    user_key: int


class CategoryRow(NamedTuple):
    """A category that the application declared."""

    category: str
    title: str
    description: str
    inbox: int | None
    push: int | None
    webhook: int | None
    inbox_required: int
    push_required: int
    webhook_required: int


class ChoiceRow(NamedTuple):
    """A user's choice in a category."""

    user_key: int
    category: str
    inbox: int | None
    push: int | None
    webhook: int | None


class NoteRow(NamedTuple):
    """What happened to a notification that left no row."""

    user_key: int
    at: int
    notification_id: str
    what: str
    create_date: int | None
    seen_date: int | None
    read_date: int | None
    archived_date: int | None
    category: str | None
    detail: str | None


class ActRow(NamedTuple):
    """An act of an operator."""

    act_id: str
    at: int
    operator: str
    what: str
    user_id: str | None
    detail: str | None


class PublicationRow(NamedTuple):
    """A notification for an audience, and how far it came."""

    publication_id: str
    audience: str
    content: str
    create_date: int
    after_key: int
    reached: int
    due_at: int
    end_date: int | None
    task: str | None
    seen_since: int | None
    spread_end: int | None
    taken_back: int | None
    taken_back_date: int | None
    ahead: str | None
    announcement: int | None


class AnnouncementRow(NamedTuple):
    """A broadcast that inboxes catch up on."""

    seq: int
    content: str
    create_date: int
    last_key: int
    notifications: int
    bytes: int
    expire_date: int
    seen_since: int | None


class WebhookWaitingRow(NamedTuple):
    """A notification of which the application may be told later."""

    user_key: int
    due_at: int
    seq: int


class WebhookUserRow(NamedTuple):
    """When a user is looked at, and the event that is on its way."""

    user_key: int
    due_at: int | None
    told_at: int | None
    webhook_id: str | None


class WebhookEventRow(NamedTuple):
    """An event for the application."""

    webhook_id: str
    user_key: int
    kind: str
    state: str
    content: str
    attempts: int
    due_at: int
    created_at: int
    expires_at: int
    reason: str | None
    changed_at: int


Row = (
    UserRow
    | ErasedRow
    | NotificationRow
    | PendingRow
    | ErasedPendingRow
    | GroupMemberRow
    | GroupIdRow
    | EndedGroupRow
    | RevocationRow
    | DeviceRow
    | PushRow
    | AudienceRow
    | SubscriptionRow
    | PublicationRow
    | AnnouncementRow
    | CategoryRow
    | ChoiceRow
    | WebhookWaitingRow
    | WebhookUserRow
    | WebhookEventRow
    | NoteRow
    | ActRow
)
Key = tuple[int | str, ...]


class Table(NamedTuple):
    """A table: its name, its rows, its key, and a key below every key."""

    name: str
    row: type[Row]
    key: tuple[str, ...]
    start: Key = (0,)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a copy takes along, in the order of a row. Both engines' statements use them."""
        return self.row._fields

    def place(self, row: Row) -> Key:
        """The key of `row`. Reading goes on after this key."""
        columns = row._asdict()
        return tuple(columns[name] for name in self.key)


TABLES = (
    Table("users", UserRow, key=("user_key",)),
    Table("erased", ErasedRow, key=("user_key",)),
    Table("notifications", NotificationRow, key=("user_key", "seq"), start=(0, 0)),
    Table("pending", PendingRow, key=("user_key", "notification_id"), start=(0, "")),
    Table("erased_pending", ErasedPendingRow, key=("user_key",)),
    Table("group_members", GroupMemberRow, key=("user_key", "group_key", "member"), start=(0, 0, "")),
    Table("group_ids", GroupIdRow, key=("user_key", "group_key", "slot"), start=(0, 0, -1)),
    Table("ended_groups", EndedGroupRow, key=("user_key", "group_key"), start=(0, -1)),
    Table("revocations", RevocationRow, key=("revocation",)),
    Table("devices", DeviceRow, key=("device_id",), start=("",)),
    Table("pushes", PushRow, key=("push_key",)),
    Table("audiences", AudienceRow, key=("audience",), start=("",)),
    Table("subscriptions", SubscriptionRow, key=("audience", "user_key"), start=("", 0)),
    Table("publications", PublicationRow, key=("publication_id",), start=("",)),
    Table("announcements", AnnouncementRow, key=("seq",)),
    Table("categories", CategoryRow, key=("category",), start=("",)),
    Table("choices", ChoiceRow, key=("user_key", "category"), start=(0, "")),
    Table("acts", ActRow, key=("act_id",), start=("",)),
    Table("webhook_waiting", WebhookWaitingRow, key=("user_key", "due_at", "seq"), start=(0, 0, 0)),
    Table("webhook_users", WebhookUserRow, key=("user_key",)),
    Table("webhook_events", WebhookEventRow, key=("webhook_id",), start=("",)),
    Table(
        "timeline", NoteRow, key=("user_key", "at", "notification_id", "what"), start=(0, -(2**63), "", "")
    ),
)
"""In the order in which they are copied."""


class Mark(msgspec.Struct, frozen=True):
    """How far a copy came: stands in the target from its beginning to its end."""

    source: str
    table: str
    after: Key


class Numbers(NamedTuple):
    """The highest numbers given out so far, also when their rows are gone; 0 for none."""

    user_key: int
    revocation: int
    push_key: int
    announcement: int = 0


class Counts(NamedTuple):
    """What can be counted without reading every row."""

    unseen: int
    """Notifications that are unseen, those of erased users included."""
    miscounted: int
    """Users with a number, in all or of a category, that is not that of their notifications; 0, or something
    is broken.
    """


class Archive(Protocol):
    """One store. See the module's docstring."""

    place: str
    """Which store this is, as an operator may read it: without user and password."""
    emptying: str
    """How an operator empties it, as the end of a sentence."""

    async def open(self, *, make: bool = False) -> None:
        """Connect. `make`: create it or bring its schema up to date first, otherwise it is left as it is.

        Raises SchemaError when this release cannot use its schema.
        """

    async def close(self) -> None:
        """Let go of everything. Safe to call twice, and before `open`."""

    async def living(self, now: int) -> int:
        """How many nodes hold a lease at `now`: PNS runs on this store, or died less than 30 s ago."""

    async def empty(self) -> bool:
        """Whether no table has a row. Secrets alone, which the first start makes, do not count."""

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────

    async def read(self, table: Table, after: Key) -> Sequence[Row]:
        """The next rows after `after`, in the order of keys: some thousands or some MiB; none at the end."""

    async def count(self, table: Table) -> int:
        """How many rows `table` has."""

    async def counts(self) -> Counts:
        """See Counts."""

    async def numbers(self) -> Numbers:
        """See Numbers."""

    async def secrets(self) -> dict[str, str]:
        """What nodes share beside the tables, by name: the session secret, the private key of Web Push."""

    # ── writing: each method is one commit, on disk when it returns ───────────────────────────────────

    async def mark(self) -> Mark | None:
        """The mark of a copy that was begun into this store and has not come to its end."""

    async def begin(self, mark: Mark, numbers: Numbers, secrets: dict[str, str]) -> None:
        """Set `mark`, the numbers to go on above, and the secrets."""

    async def write(self, table: Table, rows: Sequence[Row], mark: Mark) -> None:
        """Add `rows`, and set `mark`: both or neither."""

    async def end(self) -> None:
        """Remove the mark."""
