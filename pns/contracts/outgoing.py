"""The Outgoing and the Intake contracts: an application's own table of notifications, and the PNS that takes
the notifications.

The application's transaction writes a row, so a row is visible if and only if the transaction was committed.
The forwarder (`pns/inbox/forwarder.py`) claims rows, hands the rows to an intake, and settles the rows. The
id of a row is the `notification_id`, so a row that is sent again stores nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from pns.model.outgoing import Errand

MOST_ROWS = 1_000
"""Rows of one claim: as many as PNS takes notifications in a body."""


class Row(NamedTuple):
    """A row that waits. `notification`: the JSON object of an item of `POST /notify`, or of an errand."""

    user_id: str
    id: str
    notification: str


class Refusal(NamedTuple):
    """A row that PNS will never take, and the problem's text."""

    row: Row
    problem: str


class Backlog(NamedTuple):
    """Rows that wait, the age in seconds of the oldest of these rows, and rows that PNS refused."""

    waiting: int
    oldest_seconds: float
    refused: int


@runtime_checkable
class Outgoing(Protocol):
    """The table `pns_outgoing` of one application. Calls never overlap.

    Methods raise Unavailable while the database is away.
    """

    async def open(self, nudge: Callable[[], None]) -> None:
        """Prepare. Raises SchemaError for a database without the table.

        From now on `nudge` is called, in the event loop, when new rows may be visible. Nudges may be missing:
        the caller also looks by itself, now and then.
        """

    async def close(self) -> None:
        """Give all connections back. Safe to call twice, and before `open`."""

    async def claim(self, most: int) -> Sequence[Row]:
        """The oldest rows without `failed_at`, by (created_at, id). No other forwarder gets these rows before
        `settle`, or before the end of this process. After rows, you must call `settle`.
        """

    async def settle(self, taken: Collection[Row], refused: Collection[Refusal]) -> None:
        """Delete the taken rows, note the refused rows with their problems, and give back all other claimed
        rows. After an error, all claimed rows are given back.
        """

    async def backlog(self) -> Backlog:
        """The rows of the table now. The cost grows with the number of rows. No row may be claimed."""


class Taken(NamedTuple):
    """PNS has stored all, or has known all before."""


class Refused(NamedTuple):
    """PNS has stored nothing, and will never take these rows together. Others may be taken."""

    problem: str


class Later(NamedTuple):
    """The outcome is unknown, or PNS can store nothing now. `retry_after`: seconds, from PNS."""

    reason: str
    retry_after: float | None = None


class Misdirected(NamedTuple):
    """The URL or the key is wrong: an operator must act. PNS has stored nothing."""

    reason: str


Answer = Taken | Refused | Later | Misdirected


class Intake(Protocol):
    """A PNS that takes notifications."""

    async def check(self) -> str:
        """The reason why the address or the key is wrong, if the intake can tell; else empty."""

    async def take(self, rows: Sequence[Row]) -> Answer:
        """Store the notifications of all rows durably, or of none. Rows of one user are stored in their
        order.
        """

    async def run_errand(self, user_id: str, wanted: Errand) -> Answer:
        """Erase a user, or end connections of a user. Safe to repeat."""

    async def close(self) -> None:
        """Give all connections back. Safe to call twice."""
