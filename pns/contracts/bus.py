"""The Bus contract: hints between nodes, at most once.

A hint names users and always means "something of these users changed". The node reads the change from the
store. A lost hint costs at most a heartbeat, never a notification, so a bus never fails a notify and never
waits. `tests/adapters/buses/` holds one suite for all implementations in adapters/buses/.

A bus to other machines loses its line now and then, and comes back by itself: the bus listens again first,
and then signals "anybody may have changed". The nodes find lost changes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

Listener = Callable[[Collection[str] | None], None]
"""Called with the users who changed, or None for "anybody may have". Must not block; is never awaited."""


class Bus(Protocol):
    async def start(self, listener: Listener) -> None:
        """Begin to listen. Returns also when the bus is away; the bus goes on trying.

        Hints of this node always reach `listener`. Hints of other nodes reach `listener` for joined users,
        and may reach `listener` for other users. Raises SettingsError for an impossible address.
        """

    async def stop(self) -> None:
        """Stop listening. Safe to call twice, and before `start`."""

    async def join(self, user_id: str) -> None:
        """Take hints of this user from now on: every hint after the return is heard.

        While the bus is away, `join` returns within a second. The bus makes up for the join when it is back.
        """

    def leave(self, user_id: str) -> None:
        """Take no more hints of this user. Each `leave` undoes all `join`s of the user."""

    def signal(self, user_ids: Collection[str]) -> None:
        """Tell every node, this one included, that these users changed. Never blocks and never raises."""

    def status(self) -> str | None:
        """None while hints flow; else one sentence on what is wrong, for /readyz."""
