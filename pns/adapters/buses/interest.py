"""The channels that a node listens to, by its users, and the changes that the broker must still hear of.

A user belongs to one of SHARDS channels. A hint therefore costs only the nodes that hold the user, and hardly
any others. No channel's name tells the user. Interest holds no line and never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from zlib import crc32

SHARDS = 1 << 24
"""The number of channels. Every node of a fleet counts alike, so this number never changes."""

Answers = dict[str, asyncio.Future[None]]


def channel_of(user_id: str) -> str:
    return str(crc32(user_id.encode()) % SHARDS)


class Interest:
    """Channels by their users. Joined and left channels wait for `take`. A user costs about 0.5 KB."""

    def __init__(self) -> None:
        self._users: dict[str, set[str]] = {}
        self._asked: Answers = {}
        self._left: set[str] = set()

    @property
    def channels(self) -> set[str]:
        """Every channel with a user."""
        return set(self._users)

    def join(self, user_id: str) -> asyncio.Future[None] | None:
        """A future, done once the broker delivers the user's channel; None when the broker already does."""
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
        """Channels to subscribe, each with the future that `answer` completes; channels to unsubscribe."""
        left, self._left = self._left, set()
        self.answer(set(self._asked).difference(self._users))  # the users of these channels have left again
        return dict(self._asked), left.difference(self._users)

    def answer(self, channels: Iterable[str]) -> None:
        """The broker delivers these now."""
        for channel in channels:
            self._asked.pop(channel).set_result(None)

    def start_over(self) -> None:
        """Forget the old line: no future waits for the old line any more, and no channel is unsubscribed on
        the new.
        """
        self.answer(list(self._asked))
        self._left.clear()
