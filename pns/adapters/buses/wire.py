"""The line to a broker, as SignalBus uses it: channels of text, and nothing about users.

One implementation for each broker, each with one third-party library. A wire does not come back by itself:
SignalBus makes a new line after this one broke, so that there is one place where that is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

Heard = Callable[[str, str], None]
"""Called with channel and text of each message that arrives. Does not block and does not raise."""


class WireError(Exception):
    """The line broke, or could not be made. The text says why, without the URL's secrets."""


class Wire(Protocol):
    """A connection to a broker; one at a time. Every method but `close` may raise WireError.

    `listen` runs beside the others from `connect` on. Of `publish`, and of `subscribe` and `unsubscribe`
    together, one call runs at a time. Whoever cancels one must `close`: half of it may have been sent.
    """

    max_bytes: int
    """How much UTF-8 fits into one message."""

    interests: bool
    """Whether the broker delivers by channel. Where it does not, SignalBus uses one channel for all."""

    async def connect(self, heard: Heard) -> None:
        """Make a line. Nothing is subscribed on it yet; what will be is given to `heard`."""

    async def close(self) -> None:
        """Let go of the line, broken or not, without waiting for the broker. Never raises."""

    async def listen(self) -> None:
        """Take what arrives until the line breaks: then WireError."""

    async def subscribe(self, channels: Collection[str]) -> None:
        """Return when everything published to `channels` from now on will be heard."""

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Hear no more of `channels`, soon. What is not subscribed does not matter."""

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        """Hand (channel, text) pairs to the broker, in one go where it can; returns when it has them."""
