"""The page of the audit: each act of an operator, the newest first."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from pns.node import Node

ACTS = 50


async def audit(node: Node, request: Request) -> Mapping[str, object]:
    """The newest acts; `?before=` goes on."""
    acts = await node.store.acts.page(request.query_params.get("before", ""), ACTS)
    return {"acts": acts, "older": acts[-1].act_id if len(acts) == ACTS else ""}
