"""A push service, one subscriber of it, and a gateway that may reach loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.vapid import new_private_key
from pns.model.device import Address, Device, Registration, Subscription, SubscriptionKeys
from pns.runtime.clock import Clock
from pns.settings import WebPushSettings
from pns.testing import FakeClock
from tests.adapters.gateways.peers import Answer
from tests.harness.push_service import PushService, Reply, Subscriber

LOOPBACK = ("127.0.0.0/8",)
SUBJECT = "mailto:push@example.com"
NOBODY = str(Path(__file__).with_name("nobody.pem"))
"""A certificate that no server has: to read the system's takes longer than most tests here."""
_REPLIES: dict[Answer, Reply | str | None] = {
    "accept": None,
    "busy": (503, {}, b"overloaded"),
    "later": (429, {"retry-after": "30"}, b""),
    "dead": (410, {}, b'{"errno": 106}'),
    "refuse": (403, {}, b'{"errno": 109}'),
    "hang": "hang",
    "reset": "reset",
    "redirect": (307, {"location": "http://127.0.0.1:9/"}, b""),
    "nonsense": (502, {"content-type": "text/html"}, b"<html><h1>502 Bad Gateway</h1></html>"),
}


class WebPushPeer:
    """See Peer."""

    answers = frozenset(_REPLIES)

    def __init__(self, gateway: WebPush, service: PushService, clock: FakeClock) -> None:
        self.gateway = gateway
        self.service = service
        self.subscriber = Subscriber(service, key=gateway.facts["application_server_key"])
        self.device = device(self.subscriber, clock)
        self.registration = registration(self.subscriber)

    def answer(self, answer: Answer) -> None:
        self.service.reply = _REPLIES[answer]

    @property
    def requests(self) -> int:
        return self.service.requests

    @property
    def taken(self) -> list[dict[str, Any]]:
        return self.subscriber.messages


def device_at(address: Address, clock: Clock) -> Device:
    return Device(
        device_id="d1",
        user_id="alice",
        network="webpush",
        gateway="webpush",
        address=address.address,
        keys=address.keys,
        registered_at=clock.now(),
        expires_at=address.expires_at,
    )


def device(subscriber: Subscriber, clock: Clock) -> Device:
    return device_at(Address(subscriber.endpoint, subscriber.keys), clock)


def registration(subscriber: Subscriber) -> Registration:
    subscription = Subscription(subscriber.endpoint, SubscriptionKeys(**subscriber.keys))
    return Registration(network="webpush", subscription=subscription)


@asynccontextmanager
async def gateway(clock: Clock, private_key: str = "", **settings: Any) -> AsyncIterator[WebPush]:
    """A started gateway, with a new key unless one is given. It may reach loopback, if `settings` let it."""
    key = private_key or new_private_key()

    async def kept() -> str:
        return key

    chosen = WebPushSettings(
        **{"subject": SUBJECT, "allowed_networks": LOOPBACK, "ca_file": NOBODY, **settings}
    )
    made = WebPush(chosen, clock=clock, private_key=kept)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def peer(folder: Path, clock: FakeClock) -> AsyncIterator[WebPushPeer]:
    async with PushService(now=lambda: clock.now() / 1e6) as service, gateway(clock) as started:
        yield WebPushPeer(started, service, clock)
