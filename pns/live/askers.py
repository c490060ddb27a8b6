"""The connections that asked for counts, by user. Reads their counts, once for all equal requests.

A user without such a connection costs a look into a dictionary, and no read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pns.contracts.store import CountsOf, Store
from pns.model.counts import Counts
from pns.model.messages import counts_text

if TYPE_CHECKING:
    from pns.live.connection import Connection


class Askers:
    """Connections of one node. `add` and `discard` are idempotent."""

    def __init__(self) -> None:
        self._by_user: dict[str, set[Connection]] = {}

    def add(self, connection: Connection) -> None:
        self._by_user.setdefault(connection.user_id, set()).add(connection)

    def discard(self, connection: Connection) -> None:
        connections = self._by_user.get(connection.user_id, set())
        connections.discard(connection)
        if not connections:
            self._by_user.pop(connection.user_id, None)

    def __contains__(self, user_id: str) -> bool:
        """Whether a connection of the user asked."""
        return user_id in self._by_user

    async def tell(self, user_ids: Iterable[str], store: Store) -> set[str]:
        """Tell the connections of these users their counts. Raises the errors of `store`.

        Returns the users whose counts were news to a connection with older counts.
        """
        asked = {
            connection.asks
            for user_id in user_ids
            for connection in self._by_user.get(user_id, ())
            if connection.asks is not None
        }
        found = await store.counts(asked) if asked else {}
        return {one.user_id for one, counts in found.items() if self._tell(one, counts)}

    def _tell(self, asked: CountsOf, counts: Counts) -> bool:
        text = counts_text(counts)
        connections = [one for one in self._by_user.get(asked.user_id, ()) if one.asks == asked]
        return sum(connection.tell_counts(counts, text) for connection in connections) > 0
