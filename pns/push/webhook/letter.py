"""An event in the form for the application: the body of an attempt."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import UNSET

from pns.contracts.receiver import Letter
from pns.inbox.unsubscribing import Unsubscribing
from pns.model.messages import NewItem, new_item
from pns.model.timestamp import format_timestamp
from pns.model.webhook import (
    DeviceRemovedTold,
    MarkedTold,
    RemovedDevice,
    Told,
    UnseenTold,
    WebhookBody,
    WebhookEvent,
    WebhookKind,
)


class Writer:
    """Writes letters. `public_url`: where browsers find PNS; "" leaves out the links to unsubscribe."""

    def __init__(self, unsubscribing: Unsubscribing, *, public_url: str) -> None:
        self._unsubscribing = unsubscribing
        self._public_url = public_url

    async def letter(self, event: WebhookEvent, now: int) -> Letter:
        """The letter of an attempt at `now`. Raises StoreUnavailable."""
        return Letter(event.webhook_id, event.kind, await self._body(event), now)

    async def _body(self, event: WebhookEvent) -> WebhookBody:
        at = format_timestamp(event.created_at)
        return WebhookBody(event.kind.type, at, await self._told(event, at))

    async def _told(self, event: WebhookEvent, at: str) -> Told:
        match event.kind:
            case WebhookKind.UNSEEN:
                return UnseenTold(
                    event.user_id,
                    event.unseen,
                    [new_item(kept) for kept in event.notifications],
                    event.more,
                    await self._links(event) if self._public_url else UNSET,
                )
            case WebhookKind.DEVICE_REMOVED:
                device = event.device or RemovedDevice("", "", "")
                return DeviceRemovedTold(event.user_id, device.device_id, device.network, device.reason)
        return MarkedTold(event.user_id, list(event.notification_ids), at)

    async def _links(self, event: WebhookEvent) -> dict[str, str]:
        """A link to unsubscribe for each category of the event."""
        links = {}
        for category in event.categories:
            token = await self._unsubscribing.token(event.user_id, category)
            links[category] = f"{self._public_url}/unsubscribe?token={quote(token)}"
        return links


def example(now: int) -> Letter:
    """A letter about a user named `example`, for a trial."""
    at = format_timestamp(now)
    item = NewItem(f"example-{now}", '{"title": "An example", "body": "pns webhook test sent this."}', at)
    told = UnseenTold("example", 1, [item], more=False)
    body = WebhookBody(WebhookKind.UNSEEN.type, at, told)
    return Letter(f"evt_example_{now}", WebhookKind.UNSEEN, body, now)
