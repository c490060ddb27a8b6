"""The hub: which connections live on this node, by user. Never awaits and never asks the store.

A connection joins the hub before its first count is read, so that no change is lost between (house rule:
join, read, accept, send).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pns.contracts.store import Presence, Visitor
from pns.live.connection import Connection
from pns.model.device import OwnedDevice


class Hub:
    """The connections of one node. `attach` and `detach` are idempotent."""

    def __init__(self) -> None:
        self._by_user: dict[str, set[Connection]] = {}
        self._count = 0
        self._moved: set[OwnedDevice] = set()
        self._visitors: dict[str, int] = {}

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
            self._moved.add(OwnedDevice(connection.device_id, connection.user_id))
            self.visit(connection.user_id, connection.revocation)

    def detach(self, connection: Connection) -> None:
        connections = self._by_user.get(connection.user_id, set())
        if connection in connections:
            connections.remove(connection)
            self._count -= 1
            self._moved.add(OwnedDevice(connection.device_id, connection.user_id))
            self.visit(connection.user_id, connection.revocation)
        if not connections:
            self._by_user.pop(connection.user_id, None)

    def visit(self, user_id: str, revocation: int) -> None:
        """The user came or left with a login of this `revocation`, with a connection or without."""
        self._visitors[user_id] = max(revocation, self._visitors.get(user_id, 0))

    def visit_all(self) -> None:
        """Let the next `take_visitors` return every connected user."""
        for connection in self:
            self.visit(connection.user_id, connection.revocation)

    @property
    def has_moved(self) -> bool:
        """Whether `take_moved` would return a device."""
        return bool(self._moved)

    @property
    def has_visitors(self) -> bool:
        """Whether `take_visitors` would return a user."""
        return bool(self._visitors)

    def take_visitors(self) -> list[Visitor]:
        """The users who came or left since the last call. You must hand back with `visit` every user whom
        you could not report.
        """
        visitors, self._visitors = self._visitors, {}
        return [Visitor(user_id, revocation) for user_id, revocation in visitors.items()]

    def take_moved(self) -> set[OwnedDevice]:
        """The devices whose connections changed since the last call. You must hand back with `move_again`
        every device that you could not report.
        """
        moved, self._moved = self._moved, set()
        return moved

    def move_again(self, devices: Iterable[OwnedDevice]) -> None:
        """Let the next `take_moved` return these devices, too."""
        self._moved.update(devices)

    def move_all(self) -> None:
        """Let the next `take_moved` return every connected device."""
        self.move_again(OwnedDevice(connection.device_id, connection.user_id) for connection in self)

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
