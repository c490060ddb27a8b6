"""Which channels a node listens to: those of its users; and what the broker must still be told of them.

A user belongs to one of SHARDS channels, so that a hint costs the nodes that hold the user and hardly any
others, and no channel's name tells whom it is about. Holds no line and never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from zlib import crc32

SHARDS = 1 << 24
"""How many channels there are. Every node of a fleet counts alike, so this never changes."""

Answers = dict[str, asyncio.Future[None]]


def channel_of(user_id: str) -> str:
    return str(crc32(user_id.encode()) % SHARDS)


class Interest:
    """Channels by the users in them; those that came and went wait to be taken. About 0.5 KB a user."""

    def __init__(self) -> None:
        self._users: dict[str, set[str]] = {}
        self._asked: Answers = {}
        self._left: set[str] = set()

    @property
    def channels(self) -> set[str]:
        """Every channel with a user in it."""
        return set(self._users)

    def join(self, user_id: str) -> asyncio.Future[None] | None:
        """What is done once the broker delivers the user's channel; None where it does already."""
        channel = channel_of(user_id)
        known = channel in self._users and channel not in self._asked
        self._users.setdefault(channel, set()).add(user_id)
        if known:
            return None
        return self._asked.setdefault(channel, asyncio.get_running_loop().create_future())

    def leave(self, user_id: str) -> None:
        channel = channel_of(user_id)
        users = self._users.get(channel, set())
        users.discard(user_id)
        if not users and self._users.pop(channel, None) is not None:
            self._left.add(channel)

    def take(self) -> tuple[Answers, set[str]]:
        """Channels to subscribe, each with what `answer` is to be told then, and channels to unsubscribe."""
        left, self._left = self._left, set()
        self.answer(set(self._asked).difference(self._users))  # all who asked have left again
        return dict(self._asked), left.difference(self._users)

    def answer(self, channels: Iterable[str]) -> None:
        """The broker delivers these now."""
        for channel in channels:
            self._asked.pop(channel).set_result(None)

    def start_over(self) -> None:
        """There is another line, or none: nobody waits for the old one, and nothing is to be ended on it."""
        self.answer(list(self._asked))
        self._left.clear()
