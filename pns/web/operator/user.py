"""The page of a user: counts, inbox, connections, devices, preferences, subscriptions, timeline."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from pns.contracts.store import Cursor
from pns.inbox import given
from pns.model.push import Payload
from pns.node import Node

INBOX, LINES = 20, 50


async def user(node: Node, request: Request) -> Mapping[str, object]:
    """Everything of the user whom `?id=` names. `?before=` goes on in the timeline. Nobody without an id."""
    asked = request.query_params.get("id", "").strip()
    if not asked:
        return {"user_id": "", "info": None}
    user_id = given.user(asked)
    before = request.query_params.get("before", "")
    newest = Cursor(before="", limit=INBOX, max_bytes=node.settings.limits.page_bytes)
    timeline = await node.timeline.page(user_id, before=before, limit=LINES)
    inbox = await node.reading.page(user_id, newest)
    return {
        "user_id": user_id,
        "info": await node.reading.user(user_id),
        "inbox": [(item, Payload.of(item.notification_data)) for item in inbox],
        "devices": await node.reading.devices(user_id),
        "preferences": await node.preferences.of(user_id),
        "subscriptions": await node.subscribers.of(user_id),
        "timeline": timeline,
        "older": timeline[-1].id if len(timeline) == LINES else "",
        "before": before,
        "known": await node.store.timeline.user_key(user_id) > 0,
    }
