"""The Bus contract: hints between nodes, at most once.

A hint names users and always means "something of these users changed"; the node reads from the store what.
Losing one costs at most a heartbeat, never a notification, so a bus never fails a notify and never waits.
`tests/buses/` holds one suite for all implementations in buses/.

A bus that reaches other machines loses its line now and then. It comes back by itself: it listens again
first, and then says "anybody may have changed", so that what was lost meanwhile is found at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

Listener = Callable[[Collection[str] | None], None]
"""Called with the users who changed, or None for "anybody may have". Must not block; is never awaited."""


class Bus(Protocol):
    async def start(self, listener: Listener) -> None:
        """Begin to listen; returns also when the bus is away, and goes on trying.

        Hints of this node reach `listener` whatever becomes of the bus; those of other nodes for the users
        who were joined. It may be called for others, too. Raises SettingsError for an impossible address.
        """

    async def stop(self) -> None:
        """Stop listening. Safe to call twice, and before `start`."""

    async def join(self, user_id: str) -> None:
        """Take hints of this user from now on: whatever is signalled after the return is heard.

        While the bus is away it returns at once, or within a second; the return of the bus makes up for it.
        """

    def leave(self, user_id: str) -> None:
        """Take no more hints of this user. Each `leave` undoes all `join`s of the user."""

    def signal(self, user_ids: Collection[str]) -> None:
        """Tell every node, this one included, that these users changed. Never blocks and never raises."""

    def status(self) -> str | None:
        """None while hints flow; else one sentence on what is wrong, for /readyz."""
