"""The line to a broker, as SignalBus uses it: channels of text, and nothing about users.

One implementation for each broker, each with one third-party library. A wire does not come back by itself:
SignalBus makes a new line after this one broke, so that there is one place where that is decided.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Protocol


class WireError(Exception):
    """The line broke, or could not be made. The text says why, without the URL's secrets."""


class Wire(Protocol):
    """A connection to a broker. Only one is open at a time; every method may raise WireError."""

    max_bytes: int
    """How much UTF-8 fits into one message."""

    interests: bool
    """Whether the broker delivers by channel. Where it does not, SignalBus uses one channel for all."""

    async def connect(self) -> None:
        """Make the line, anew if there was one. Nothing is subscribed on it yet."""

    async def close(self) -> None:
        """Let go of the line, broken or not, without waiting for the broker. Never raises."""

    async def subscribe(self, channels: Collection[str]) -> None:
        """Return when everything published to `channels` from now on will be received."""

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Receive no more from `channels`, soon."""

    async def publish(self, messages: Collection[tuple[str, str]]) -> None:
        """Hand (channel, text) pairs to the broker, in one go where it can."""

    def messages(self) -> AsyncIterator[tuple[str, str]]:
        """What arrives, as (channel, text), until the line breaks: then WireError."""
