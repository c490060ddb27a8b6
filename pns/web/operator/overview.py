"""The first page: the node, the fleet, and the outbox with the reasons of waiting pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.requests import Request

from pns.contracts.outbox import Backlog
from pns.model.push import WAITING
from pns.model.timestamp import SECOND
from pns.node import Node
from pns.runtime.release import release
from pns.web.operator.charts import charts


class Waiting(NamedTuple):
    """The pushes of a gateway that wait: how many, for how long the first is due, and a reason."""

    gateway: str
    pushes: int
    overdue_seconds: float
    reason: str


async def overview(node: Node, request: Request) -> Mapping[str, object]:
    """The facts of /readyz, /metrics and the doctor about this node, and the store's about the fleet."""
    backlog = await node.store.outbox.backlog()
    return {
        "problems": await node.problems(),
        "bus": node.bus.status() or "",
        "release": release(),
        "node_id": node.node_id,
        "store": await node.store.report(),
        "charts": charts(node.samples),
        "fleet": await node.store.fleet(),
        "waiting": _waiting(backlog, node.clock.now()),
        "settled": [found for found in backlog if found.state not in WAITING],
        "users": len(node.hub.user_ids),
        "connections": len(node.hub),
    }


def _waiting(backlog: Sequence[Backlog], now: int) -> list[Waiting]:
    """The waiting pushes, by gateway. A push after a failed attempt has the reason of the attempt."""
    found: list[Waiting] = []
    for gateway in sorted({each.gateway for each in backlog if each.state in WAITING}):
        own = [each for each in backlog if each.gateway == gateway and each.state in WAITING]
        oldest = min((each.oldest for each in own if each.oldest is not None), default=now)
        reasons = [each.reason for each in own if each.reason]
        found.append(
            Waiting(
                gateway,
                sum(each.pushes for each in own),
                max(0.0, (now - oldest) / SECOND),
                reasons[0] if reasons else "not due yet" if oldest > now else "in line",
            )
        )
    return found
