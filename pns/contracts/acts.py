"""The Acts contract: the audit of the operator's page, and the size of an audience before an act.

An act is recorded before the act is done, so no act is without a record. Methods raise the errors of the
Store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

LAST = "~"
"""Greater than every id of an act."""


class Act(NamedTuple):
    """An act of an operator. `user_id`: the user whom the act concerns alone. `act_id`s rise with time."""

    act_id: str
    at: int
    operator: str
    what: str
    user_id: str | None = None
    detail: str | None = None


class Acts(Protocol):
    """The records, and what an operator asks before an act."""

    async def add(self, act: Act) -> None:
        """Record `act`, durable on return."""

    async def page(self, before: str, limit: int) -> Sequence[Act]:
        """The newest acts before the one with the id `before`; "": the newest of all. Newest first."""

    async def audience_size(self, audience: str, limit: int) -> int:
        """The number of users in an audience, or `limit` for more."""
