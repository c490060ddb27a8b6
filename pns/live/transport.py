"""The line to one peer, as the rest of this folder sees the line.

A WebSocket of PNS's own server, a WebSocket of a host's server (web/websocket.py) and an event stream
(web/events.py) are transports. The writer of a connection is the only caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Transport(Protocol):
    """Carries text to one peer.

    A method that returns an awaitable has not finished yet. The caller must await the result to its end, if
    need be in a task. None means that the call is finished.
    """

    def blocked(self) -> Awaitable[object] | None:
        """None while the send buffer takes more. Else an awaitable that ends when the buffer takes more, or
        when the peer is lost. A server that does not report its buffer is never blocked.
        """

    def send_text(self, text: str) -> Awaitable[None] | None:
        """Send one message, or start to. The caller must ask `blocked` first.

        Raises OSError, now or when awaited, if the peer has gone. A server of a host may raise other errors.
        """

    def send_close(self, code: int, reason: str) -> Awaitable[None]:
        """Send the last message: a close code and its cause. Raises as `send_text` does."""

    def abort(self) -> None:
        """Drop the peer and all buffered text at once. Under a host's server this changes nothing."""


class Hearer(Protocol):
    """Is called by a parked transport, in the event loop."""

    def hear(self, message: str | bytes) -> None:
        """The peer sent `message`. No other message comes until `Parkable.go_on`."""

    def lost(self) -> None:
        """The peer has gone, or broke the protocol. This call is the last."""


class Parkable(Transport, Protocol):
    """A transport that calls for each message, so that no task waits for the next one."""

    def park(self, hearer: Hearer) -> None:
        """Call `hearer` from now on, perhaps at once. Nobody is called after `send_close`."""

    def go_on(self) -> None:
        """The last message is done: the next one may be handed over, perhaps at once."""


Receive = Callable[[], Awaitable[str | bytes | None]]
"""Returns the next message of the peer, text or binary. None: the peer has gone."""
PEER_GONE = (OSError, RuntimeError)
"""The errors of a server whose peer went while something was sent. They have no common type."""
