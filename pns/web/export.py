"""Everything PNS keeps of a user, as JSON lines, for GET /users/{user_id}/export.

Read in pages while it is sent, so that a long inbox never stands in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pns.contracts.store import Cursor, Place
from pns.model.messages import InboxItem, inbox_item
from pns.node import Node
from pns.web.audience_names import Named, named
from pns.web.contract.operation import USER, Answer, Operation
from pns.web.push_schemas import InstalledDevice, devices_of


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
    """The lines, some at a time. Of a user who is erased meanwhile no more follow, also if they come back."""
    encoder = msgspec.json.Encoder()
    user_key = await _key(node, user_id)
    async for page in _pages(node, user_id, user_key):
        yield encoder.encode_lines([ExportLine(notification=item) for item in page])
    devices = await devices_of(node, user_id)
    audiences = await node.store.audiences.subscriptions(user_id)
    if await _key(node, user_id) != user_key:
        devices, audiences = [], []
    yield encoder.encode_lines([ExportLine(device=device) for device in devices])
    yield encoder.encode_lines([ExportLine(subscription=named(audience)) for audience in audiences])


async def read_inbox(node: Node, user_id: str) -> AsyncIterator[list[InboxItem]]:
    """The user's whole inbox, oldest first, in pages.

    What is kept all the time is in it once, whatever is removed or added meanwhile; it ends when the user is
    erased.
    """
    async for page in _pages(node, user_id, await _key(node, user_id)):
        yield page


async def _pages(node: Node, user_id: str, user_key: int) -> AsyncIterator[list[InboxItem]]:
    limits, place = node.settings.limits, Place(user_key)
    while True:
        cursor = Cursor(place=place, limit=limits.page_size, max_bytes=limits.page_bytes)
        page = await node.store.inbox(user_id, cursor)
        if not page.items:
            return
        yield [inbox_item(kept) for kept in page.items]
        place = Place(user_key, page.items[-1].seq)


async def _key(node: Node, user_id: str) -> int:
    return (await node.store.states([user_id]))[user_id].user_key
