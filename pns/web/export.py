"""Everything PNS keeps of a user, as JSON lines, for GET /users/{user_id}/export.

Read in pages while it is sent, so that a long inbox never stands in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pns.messages import InboxItem, inbox_item
from pns.node import Node
from pns.store import Cursor
from pns.web.audience_names import Named, named
from pns.web.contract.operation import USER, Answer, Operation
from pns.web.push_calls import InstalledDevice, devices_of


class ExportLine(Struct, frozen=True):
    """One thing that PNS keeps of a user: exactly one of these."""

    notification: InboxItem | UnsetType = UNSET
    device: InstalledDevice | UnsetType = UNSET
    subscription: Named | UnsetType = UNSET


EXPORT = Operation(
    caller="application",
    answers=(
        Answer(
            200,
            "Notifications, oldest first; then devices, then subscriptions. The schema is a line's.",
            body=Annotated[ExportLine, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})],
            media_type="application/x-ndjson",
        ),
    ),
    problems=USER,
)


async def export_lines(node: Node, user_id: str) -> AsyncIterator[bytes]:
    """The lines, some at a time."""
    encoder = msgspec.json.Encoder()
    async for page in read_inbox(node, user_id):
        yield encoder.encode_lines([ExportLine(notification=item) for item in page])
    devices = await devices_of(node, user_id)
    yield encoder.encode_lines([ExportLine(device=device) for device in devices])
    audiences = await node.store.audiences.subscriptions(user_id)
    yield encoder.encode_lines([ExportLine(subscription=named(audience)) for audience in audiences])


async def read_inbox(node: Node, user_id: str) -> AsyncIterator[list[InboxItem]]:
    """The user's whole inbox, oldest first, in pages."""
    limits, after = node.settings.limits, ""
    while True:
        cursor = Cursor(after=after, limit=limits.page_size, max_bytes=limits.page_bytes)
        page = await node.store.inbox(user_id, cursor)
        if not page.items:
            return
        yield [inbox_item(kept) for kept in page.items]
        after = page.items[-1].notification_id
