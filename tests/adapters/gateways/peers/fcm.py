"""FCM, as ../fake_google.py plays it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

from pns.adapters.gateways.fcm.gateway import FCM
from pns.model.device import Device, Registration
from pns.settings import FCMSettings
from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import Google, Reply, Says, error, fcm_error
from tests.adapters.gateways.peers import Answer

TOKEN = "dGVzdC10b2tlbg:APA91b-a-registration-token-of-an-app"

SAYS: Mapping[Answer, Says] = {
    "accept": "take",
    "busy": error(503, "UNAVAILABLE", fcm_error("UNAVAILABLE")),
    "later": error(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), retry="30"),
    "dead": error(404, "NOT_FOUND", fcm_error("UNREGISTERED"), message="Requested entity was not found."),
    "refuse": error(401, "UNAUTHENTICATED", message="Request had invalid authentication credentials."),
    "hang": "hang",
    "reset": "reset",
    "redirect": Reply(302, b"", ("Location: /v1/projects/elsewhere/messages:send",)),
    "nonsense": Reply(502, b"<html><h1>Bad Gateway</h1></html>", ("Content-Type: text/html",)),
}


class FCMPeer:
    """See ..peers.Peer. `google` for what only tests of FCM ask."""

    registration = Registration(network="fcm", token=TOKEN, app="com.example.shop", platform="android")
    answers: frozenset[Answer] = frozenset(get_args(Answer))

    def __init__(self, google: Google, gateway: FCM, clock: FakeClock) -> None:
        self.google = google
        self.gateway = gateway
        self.device = device(clock)

    def answer(self, answer: Answer) -> None:
        self.google.pushes = SAYS[answer]

    @property
    def requests(self) -> int:
        return len(self.google.sent)

    @property
    def taken(self) -> list[dict[str, Any]]:
        return self.google.taken


def device(clock: FakeClock, **changes: Any) -> Device:
    whole = {
        "device_id": "d-1",
        "user_id": "u-1",
        "network": "fcm",
        "gateway": "fcm",
        "address": TOKEN,
        "keys": {"kind": "token"},
        "platform": "android",
        "registered_at": clock.now(),
    }
    return Device(**{**whole, **changes})


@asynccontextmanager
async def peer(folder: Path, clock: FakeClock) -> AsyncIterator[FCMPeer]:
    async with Google(clock) as google:
        settings = FCMSettings(credentials=str(google.key_file(folder)), url=google.url)
        gateway = FCM(settings, clock=clock)
        await gateway.start()
        try:
            yield FCMPeer(google, gateway, clock)
        finally:
            await gateway.stop()
