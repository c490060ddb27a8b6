"""A notification hub on loopback, a device with a token of APNs, and a gateway to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pns.adapters.gateways.azure.gateway import Azure
from pns.model.device import Device, Registration
from pns.settings import AzureSettings
from pns.testing import FakeClock
from tests.adapters.gateways.fake_hub import HUB, FakeHub, Reply, Says, error
from tests.adapters.gateways.peers import Answer

APNS_TOKEN = "0123456789abcdef" * 4
FCM_TOKEN = "dGhlIGFwcA:APA91bE-token_of_FCM"
_SAYS: dict[Answer, Says] = {
    "accept": "take",
    "busy": error(503, "The server is busy"),
    "later": Reply(429, {"retry-after": "30"}),
    "dead": error(410, "The handle is no more"),
    "refuse": error(401, "InvalidSignature: The token has an invalid signature."),
    "hang": "hang",
    "reset": "reset",
    "redirect": Reply(307, {"location": "https://localhost:9/"}),
    "nonsense": Reply(502, {"content-type": "text/html"}, b"<html><h1>502 Bad Gateway</h1></html>"),
}


class AzurePeer:
    """See Peer."""

    answers = frozenset(_SAYS)
    registration = Registration(network="apns", token=APNS_TOKEN)

    def __init__(self, gateway: Azure, hub: FakeHub, clock: FakeClock) -> None:
        self.gateway = gateway
        self.hub = hub
        self.device = device(clock)

    def answer(self, answer: Answer) -> None:
        self.hub.says = _SAYS[answer]

    @property
    def requests(self) -> int:
        return len(self.hub.requests)

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [request.json for request in self.hub.taken]


def device(clock: FakeClock, **fields: Any) -> Device:
    known: dict[str, Any] = {
        "device_id": "d1",
        "user_id": "alice",
        "network": "apns",
        "gateway": "azure",
        "address": APNS_TOKEN,
        "app": "com.example.shop",
        "registered_at": clock.now(),
    }
    return Device(**known | fields)


@asynccontextmanager
async def gateway(clock: FakeClock, fake: FakeHub, **settings: Any) -> AsyncIterator[Azure]:
    """A started gateway to `fake`, unless `settings` say otherwise."""
    known = {"connection_string": fake.connection_string, "hub": HUB, "ca_file": str(fake.ca_file)}
    made = Azure(AzureSettings(**known | settings), clock=clock)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def peer(folder: Path, clock: FakeClock) -> AsyncIterator[AzurePeer]:
    async with FakeHub(folder, clock) as hub, gateway(clock, hub) as started:
        yield AzurePeer(started, hub, clock)
