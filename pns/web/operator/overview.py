"""The first page: the node, the fleet, and everything that waits, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.requests import Request

from pns.model.push import WAITING, PushState
from pns.model.timestamp import SECOND
from pns.node import Node
from pns.runtime.release import release
from pns.web.operator.charts import charts


class Found(NamedTuple):
    """The number of pushes of a gateway, or of events of a kind, in one state: a line of a backlog."""

    name: str
    state: PushState
    number: int
    oldest: int | None
    reason: str | None


class Waiting(NamedTuple):
    """The waiting pushes of a gateway, or the waiting events of a kind. `again`: how many had an attempt.

    `next_at`: the time at which the first push or event is or was due. `reason`: a reason for the wait.
    """

    name: str
    number: int
    again: int
    next_at: int
    overdue_seconds: float
    reason: str


async def overview(node: Node, request: Request) -> Mapping[str, object]:
    """The facts of /readyz, /metrics and the doctor about this node, and the store's about the fleet."""
    pushes = [Found(*each) for each in await node.store.outbox.backlog()]
    events = [
        Found(each.kind.type, each.state, each.events, each.oldest, each.reason)
        for each in await node.store.webhooks.backlog()
    ]
    now = node.clock.now()
    return {
        "problems": await node.problems(),
        "degraded": node.degraded(),
        "release": release(),
        "node_id": node.node_id,
        "store": await node.store.report(),
        "charts": charts(node.samples),
        "fleet": await node.store.fleet(),
        "pushes": _waiting(pushes, now),
        "events": _waiting(events, now, trouble=node.telling.trouble),
        "settled": [found for found in [*pushes, *events] if found.state not in WAITING],
        "later": await node.store.later.count(),
        "next_delivery": await node.store.later.next_delivery(),
        "outgoing": node.outgoing,
        "users": len(node.hub.user_ids),
        "connections": len(node.hub),
    }


def _waiting(backlog: Sequence[Found], now: int, *, trouble: str = "") -> list[Waiting]:
    """The waiting part of `backlog`, by name. `trouble`: the reason where no attempt has a reason."""
    found: list[Waiting] = []
    for name in sorted({each.name for each in backlog if each.state in WAITING}):
        own = [each for each in backlog if each.name == name and each.state in WAITING]
        oldest = min((each.oldest for each in own if each.oldest is not None), default=now)
        reasons = [each.reason for each in own if each.reason]
        found.append(
            Waiting(
                name,
                sum(each.number for each in own),
                sum(each.number for each in own if each.state is PushState.RETRY),
                oldest,
                max(0.0, (now - oldest) / SECOND),
                reasons[0] if reasons else trouble or ("not due yet" if oldest > now else "in line"),
            )
        )
    return found
