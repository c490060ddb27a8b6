"""A loopback APNs, and the gateway with a token and its sender's key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

from pns.adapters.gateways.apns.gateway import APNs
from pns.model.device import Device, Registration
from pns.testing import FakeClock
from tests.adapters.gateways.apns_rules import Act, Reply
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.peers import Answer

TOKEN = "0123456789abcdef" * 4

_PAGE = "<html><head><title>502 Bad Gateway</title></head></html>"


class APNsPeer:
    answers: frozenset[Answer] = frozenset(get_args(Answer))

    def __init__(self, service: FakeAPNs, gateway: APNs) -> None:
        self.service = service
        self.gateway = gateway
        self.device = device(service.clock.now())
        self.registration = Registration(network="apns", token=TOKEN)

    def answer(self, answer: Answer) -> None:
        acts: dict[Answer, Act] = {
            "accept": Reply(),
            "busy": Reply(503, "ServiceUnavailable"),
            "later": Reply(429, "TooManyRequests", headers=(("retry-after", "30"),)),
            "dead": Reply(410, "Unregistered", self.service.clock.now() // 1000),
            "refuse": Reply(403, "InvalidProviderToken"),
            "hang": "hang",
            "reset": "reset",
            "redirect": Reply(308, text="", headers=(("location", "/3/device/elsewhere"),)),
            "nonsense": Reply(502, text=_PAGE),
        }
        self.service.answer = acts[answer]

    @property
    def requests(self) -> int:
        return len(self.service.requests)

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(sent.body) for sent in self.service.accepted]


def device(now: int, **fields: Any) -> Device:
    """An app's device, registered at `now`."""
    return Device(
        **{
            "device_id": "d-1",
            "user_id": "anna",
            "network": "apns",
            "gateway": "apns",
            "address": TOKEN,
            "registered_at": now,
            **fields,
        }
    )


@asynccontextmanager
async def peer(folder: Path, clock: FakeClock) -> AsyncIterator[APNsPeer]:
    async with FakeAPNs(folder, clock=clock) as service, started(service) as gateway:
        yield APNsPeer(service, gateway)


@asynccontextmanager
async def started(service: FakeAPNs, **changes: object) -> AsyncIterator[APNs]:
    """A gateway to `service`, whose settings are the service's but for `changes`."""
    gateway = APNs(service.settings(**changes), clock=service.clock)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
