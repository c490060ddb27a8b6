"""The Webhooks contract: events for the application, on their way. A part of the Store.

Every implementation keeps the promises of store.py, and more:

- **In the transaction of the cause.** A store that was made with terms writes an event together with the
  mark or the removal of a device, and notes with a new notification when the notification may be told.
  A store without terms writes nothing.
- **Decided at the claim.** An event of UNSEEN holds notifications that are unseen at the claim, not expired,
  and of no category whose `webhook` the user turned off. Each claim of the event looks again. The event keeps
  its id, and nothing new joins the event. When nothing is left, there is no event any more.
- **One at a time.** A user has at most one event of UNSEEN on its way. The next event follows no sooner than
  `unseen_every` after the last attempt. Each notification is in one event.
- **At least once.** `claim` leases events to one node. An event without settlement at the end of the lease is
  claimed again. After TAKEN there is no other attempt. An erased user has no events.

Times are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol

from pns.model.push import PushState
from pns.model.webhook import WebhookEvent, WebhookKind


class WebhookOutcome(Enum):
    """What became of an attempt."""

    TAKEN = auto()
    AGAIN = auto()
    """Try again at `due_at`; after `expires_at` of the event it has failed."""
    UNSENT = auto()
    """Put off before an attempt."""


class WebhookSettlement(NamedTuple):
    """The outcome of a claimed event. `due_at`: the time of the next attempt."""

    event: WebhookEvent
    outcome: WebhookOutcome
    reason: str = ""
    due_at: int = 0


class WebhookBacklog(NamedTuple):
    """The number of events of one kind in one state. `oldest`: the due time of the first that waits.

    `reason`: a reason of one of these events, if any has a reason.
    """

    kind: WebhookKind
    state: PushState
    events: int
    oldest: int | None
    reason: str | None = None


class Webhooks(Protocol):
    """See the module's docstring for what every method promises."""

    async def next_due(self) -> int | None:
        """The time at which the first event, or the first user with something to tell, is due. Cheap."""

    async def claim(self, limit: int, until: int) -> list[WebhookEvent]:
        """Lease at most `limit` due events until `until`. May return fewer events than are due."""

    async def settle(self, settlements: Sequence[WebhookSettlement]) -> None:
        """Record the outcomes of claimed events, in one commit."""

    async def backlog(self) -> list[WebhookBacklog]:
        """What waits and what failed, by kind and state."""

    async def prune_events(self, *, settled_before: int, limit: int) -> int:
        """Remove at most `limit` events that failed before; returns their number."""
