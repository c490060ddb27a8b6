"""The Bus contract: hints between nodes, at most once.

A hint names users and always means "something of these users changed"; the node reads from the store what.
Losing one costs at most a heartbeat, never a notification, so a bus never fails a notify and never waits.
`tests/buses/` holds one suite for all implementations in buses/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

Listener = Callable[[Collection[str] | None], None]
"""Called with the users who changed, or None for "anybody may have". Must not block; is never awaited."""


class Bus(Protocol):
    async def start(self, listener: Listener) -> None:
        """Begin to listen. Every hint, those of this node included, reaches `listener` in the event loop."""

    async def stop(self) -> None:
        """Stop listening. Safe to call twice, and before `start`."""

    def signal(self, user_ids: Collection[str]) -> None:
        """Tell every node, this one included, that these users changed. Never blocks and never raises."""

    def status(self) -> str | None:
        """None while hints flow; else one sentence on what is wrong, for /readyz."""
