"""The hub: which connections live on this node, by user. Never awaits and never asks the store.

A connection joins before its first count is read, so that nothing falls between (house rule: join, read,
accept, send).
"""

from __future__ import annotations

from collections.abc import Iterator

from pns.contracts.store import Presence
from pns.live.connection import Connection


class Hub:
    """The connections of one node. `attach` and `detach` are idempotent."""

    def __init__(self) -> None:
        self._by_user: dict[str, set[Connection]] = {}
        self._count = 0
        self.moved: set[tuple[str, str]] = set()
        """(user, device) pairs whose connections changed since somebody last emptied this set."""

    def __len__(self) -> int:
        """How many connections there are."""
        return self._count

    def __iter__(self) -> Iterator[Connection]:
        """Every connection; safe while connections come and go."""
        for user_id in list(self._by_user):
            yield from self.of(user_id)

    @property
    def user_ids(self) -> list[str]:
        """The users with at least one connection here."""
        return list(self._by_user)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._by_user

    def of(self, user_id: str) -> list[Connection]:
        """The user's connections: a copy, safe while connections come and go."""
        return list(self._by_user.get(user_id, ()))

    def attach(self, connection: Connection) -> None:
        connections = self._by_user.setdefault(connection.user_id, set())
        if connection not in connections:
            connections.add(connection)
            self._count += 1
            self.moved.add((connection.user_id, connection.device_id))

    def detach(self, connection: Connection) -> None:
        connections = self._by_user.get(connection.user_id, set())
        if connection in connections:
            connections.remove(connection)
            self._count -= 1
            self.moved.add((connection.user_id, connection.device_id))
        if not connections:
            self._by_user.pop(connection.user_id, None)

    def presences(self, user_id: str) -> list[Presence]:
        """The user's devices connected here."""
        found: dict[str, Presence] = {}
        for connection in self._by_user.get(user_id, ()):
            known = found.get(connection.device_id)
            found[connection.device_id] = Presence(
                user_id,
                connection.device_id,
                known.connections + 1 if known else 1,
                min(known.since, connection.since) if known else connection.since,
            )
        return list(found.values())
