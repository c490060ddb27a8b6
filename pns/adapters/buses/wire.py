"""The line to a broker, as SignalBus uses the line: channels of text, without users.

Each broker has its own implementation with a third-party library of its own. A broken wire stays broken: only
SignalBus decides when to make a new line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

Heard = Callable[[str, str], None]
"""Called with channel and text of each message that arrives. `Heard` does not block and does not raise."""


class WireError(Exception):
    """The line broke, or could not be made. The text says why, without the URL's secrets."""


class Hopeless(WireError):
    """The line could not be made, and waiting will not help. The text names the remedy."""


class Unsendable(WireError):
    """The broker takes a message of this call not at all. The line is as good as before."""


class Wire(Protocol):
    """A connection to a broker; at most a single connection at a time. Every method but `close` may raise
    WireError, `connect` also Hopeless.

    `listen` runs beside the others from `connect` on. At most a single call of `publish` runs at a time, and
    a single call of `subscribe` or `unsubscribe`. After cancelling a call, you must `close`: half of the call
    may have been sent.
    """

    max_bytes: int
    """How many bytes of UTF-8 fit into a message."""

    interests: bool
    """Whether the broker delivers by channel. If not, SignalBus uses a single channel for all."""

    async def connect(self, heard: Heard) -> None:
        """Make a line, without subscriptions at first. Messages of later subscriptions go to `heard`."""

    async def close(self) -> None:
        """Let go of the line, broken or not, without waiting for the broker. Never raises."""

    async def listen(self) -> None:
        """Take messages until the line breaks, then raise WireError."""

    async def subscribe(self, channels: Collection[str]) -> None:
        """Return when every message published to `channels` from now on will be heard."""

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Soon hear no more of `channels`. A channel without a subscription is ignored."""

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        """Hand (channel, text) pairs to the broker, together if the broker can, and return when the broker
        has them. Raises Unsendable when some of them were refused, and perhaps none was taken.
        """
