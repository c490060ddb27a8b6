"""The Receiver contract: how the application takes events. Implementations stand in adapters/receivers/.

A receiver hands one event to the application, once; the sender tries again. A receiver keeps no state of an
event, touches no store, and follows no redirect. `take` raises only CancelledError. No secret and no
notification data is logged.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from pns.model.webhook import Event, WebhookBody, WebhookKind

EventFunction = Callable[[Event[Any]], object]
"""A function of the host that takes events, sync or async. Returning is taking, whatever the result is."""


class Taking(Enum):
    """How the application answered."""

    TAKEN = auto()
    AGAIN = auto()
    """Not now: try again later, after `retry_after` if given."""
    GONE = auto()
    """The application takes no more events until the next start of this node."""


class Reply(NamedTuple):
    """`reason`: a word of the application or ours, for people; never a secret. `retry_after`: seconds."""

    taking: Taking
    reason: str = ""
    retry_after: float | None = None


class Letter(NamedTuple):
    """One attempt to tell an event. `now`: the time of the attempt, in microseconds since 1970."""

    webhook_id: str
    kind: WebhookKind
    body: WebhookBody
    now: int


class Receiver(Protocol):
    """See the module's docstring for what every method promises."""

    kinds: frozenset[WebhookKind]
    """The kinds of events to hand over. Events of other kinds, from before the start, stay in the store."""

    async def start(self) -> None:
        """Make ready. Raises SettingsError for settings that cannot work; asks nobody."""

    async def stop(self) -> None:
        """Let go of everything. Safe to call twice, and before `start`."""

    async def take(self, letter: Letter) -> Reply:
        """Hand over one event."""
