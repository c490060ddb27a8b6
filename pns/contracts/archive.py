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
    """A user, with the count that the devices were shown."""

    user_key: int
    user_id: str
    last_seq: int
    unseen: int
    version: int


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


Row = (
    UserRow
    | ErasedRow
    | NotificationRow
    | RevocationRow
    | DeviceRow
    | PushRow
    | AudienceRow
    | SubscriptionRow
    | PublicationRow
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
    Table("revocations", RevocationRow, key=("revocation",)),
    Table("devices", DeviceRow, key=("device_id",), start=("",)),
    Table("pushes", PushRow, key=("push_key",)),
    Table("audiences", AudienceRow, key=("audience",), start=("",)),
    Table("subscriptions", SubscriptionRow, key=("audience", "user_key"), start=("", 0)),
    Table("publications", PublicationRow, key=("publication_id",), start=("",)),
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


class Counts(NamedTuple):
    """What can be counted without reading every row."""

    unseen: int
    """Notifications that are unseen, those of erased users included."""
    miscounted: int
    """Users whose count is not that of their unseen notifications; 0, or something is broken."""


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
