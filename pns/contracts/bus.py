"""The Bus contract: hints between nodes, at most once.

A hint names users and always means "something of these users changed"; the node reads the change from the
store. A lost hint costs at most a heartbeat, never a notification. A bus therefore never fails a notify and
never waits. `tests/adapters/buses/` holds a single suite for all implementations.

A bus to other machines loses its line now and then, and makes a new line by itself. On the new line the bus
first listens, and then says "anybody may have changed", so lost changes are found at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

Listener = Callable[[Collection[str] | None], None]
"""Called with the changed users, or None for "anybody may have changed". Must not block; is never awaited."""


class Bus(Protocol):
    async def start(self, listener: Listener) -> None:
        """Begin to listen. Returns also when the bus is away, and goes on trying.

        Hints of this node reach `listener` in any case. Hints of other nodes reach it for joined users, and
        sometimes for further users. Raises SettingsError for an impossible address.
        """

    async def stop(self) -> None:
        """Stop listening. Safe to call twice, and before `start`."""

    async def join(self, user_id: str) -> None:
        """Take hints of this user from now on: every hint signalled after the return is heard.

        While the bus is away, `join` returns at once, or within a second; the return of the bus makes up for
        the loss.
        """

    def leave(self, user_id: str) -> None:
        """Take no more hints of this user. Each `leave` undoes all `join`s of the user."""

    def signal(self, user_ids: Collection[str]) -> None:
        """Send the hint of changed users to every node, this node included. Never blocks and never raises."""

    def status(self) -> str | None:
        """None while hints flow; else a sentence about the trouble, for /readyz."""
