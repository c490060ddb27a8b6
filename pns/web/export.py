"""GET /users/{user_id}/export: everything that PNS keeps of a user, as JSON lines.

The lines are read in pages while the answer is sent, so a long inbox never stands in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pns.inbox.reading import Kept, Reading
from pns.model.answers import Chosen, InstalledDevice, Named
from pns.model.messages import InboxItem
from pns.model.timeline import NoteItem
from pns.web.contract.operation import USER, Answer, Operation


class ExportLine(Struct, frozen=True):
    """A notification, a waiting notification, a device, a subscription, an own preference or a note of a
    user: exactly one of the members.
    """

    notification: InboxItem | UnsetType = UNSET
    pending: InboxItem | UnsetType = UNSET
    device: InstalledDevice | UnsetType = UNSET
    subscription: Named | UnsetType = UNSET
    preference: Chosen | UnsetType = UNSET
    timeline: NoteItem | UnsetType = UNSET


EXPORT = Operation(
    caller="application",
    answers=(
        Answer(
            200,
            "Notifications, oldest first; then what waits, devices, subscriptions, preferences, and what a "
            "timeline keeps of notifications that are gone. The schema is a line's.",
            body=Annotated[ExportLine, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})],
            media_type="application/x-ndjson",
        ),
    ),
    problems=USER,
)


async def export_lines(reading: Reading, user_id: str) -> AsyncIterator[bytes]:
    """The lines, some at a time. No more lines follow for a user who is erased meanwhile."""
    encoder = msgspec.json.Encoder()
    async for kept in reading.everything(user_id):
        yield encoder.encode_lines([_line(each) for each in kept])


def _line(kept: Kept) -> ExportLine:
    match kept:
        case InboxItem() if kept.deliver_date is not UNSET:
            return ExportLine(pending=kept)
        case InboxItem():
            return ExportLine(notification=kept)
        case InstalledDevice():
            return ExportLine(device=kept)
        case Named():
            return ExportLine(subscription=kept)
        case Chosen():
            return ExportLine(preference=kept)
        case NoteItem():
            return ExportLine(timeline=kept)
