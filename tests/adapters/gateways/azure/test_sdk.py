"""What PNS asks of Azure is what the official SDK asks, header by header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pns.adapters.gateways.apns import message as apns_message
from pns.adapters.gateways.azure.signature import Access, sign
from pns.adapters.gateways.fcm import message as fcm_message
from pns.contracts.gateway import Outcome
from pns.model.push import APNsControls, PushControls
from pns.testing import FakeClock
from tests.adapters.gateways import npm
from tests.adapters.gateways.fake_hub import HUB, KEY, POLICY, FakeHub, Request
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.azure import APNS_TOKEN, FCM_TOKEN, device, gateway

# The hub's certificate is its own, and the SDK has no setting for whom to trust.
SEND = """
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
const hubs = require("@azure/notification-hubs");
const make = { apple: hubs.createAppleNotification, fcmv1: hubs.createFcmV1Notification };
const client = new hubs.NotificationHubsClient(given.connection, given.hub);
const notification = make[given.format]({ body: given.body, headers: given.headers });
client.sendNotification(notification, { deviceHandle: given.handle })
  .then(answer => console.log(JSON.stringify(answer)));
"""
OWN_BUSINESS = {
    *("accept", "accept-encoding", "connection", "content-length", "host", "user-agent"),
    *("x-ms-azsdk-telemetry", "x-ms-client-request-id"),
}
"""Headers by which a client of HTTP, or the SDK, speaks of itself."""

PUSH: dict[str, Any] = {
    "collapse_key": "order-1",
    "controls": PushControls(data={"größe": "XL"}, apns=APNsControls(priority=5, ttl_seconds=60)),
}
DEVICES = {"apple": {}, "fcmv1": {"network": "fcm", "address": FCM_TOKEN}}

_BOTH = {"content-type": "application/json;charset=utf-8", "x-ms-version": "2020-06"}
TOLD = {
    "fcmv1": {
        **_BOTH,
        "servicebusnotification-format": "fcmv1",
        "servicebusnotification-devicehandle": FCM_TOKEN,
    },
    "apple": {
        **_BOTH,
        "servicebusnotification-format": "apple",
        "servicebusnotification-devicehandle": APNS_TOKEN,
        "apns-id": "c9962174-d32c-5fe0-b8d6-308e52b1f012",
        "apns-topic": "com.example.shop",
        "apns-push-type": "alert",
        "apns-priority": "5",
        "apns-expiration": "1800000060",
        "apns-collapse-id": "order-1",
    },
}
"""What the comparison compares, so that nobody has to believe it."""


@pytest.mark.parametrize("format", DEVICES)
async def test_the_sdk_sends_the_same(tmp_path: Path, clock: FakeClock, format: str) -> None:
    sent = push(device(clock, **DEVICES[format]), **PUSH)
    async with FakeHub(tmp_path, clock=None) as hub, gateway(clock, hub) as azure:
        answer = await npm.node(SEND, _given(hub, sent, clock.now(), format=format))
        receipt = await azure.push(sent)
        theirs, ours = hub.taken
    assert (theirs.method, theirs.path) == (ours.method, ours.path)
    assert ours.path == f"/{HUB}/messages/?api-version=2020-06&direct=true"
    assert ours.json == theirs.json
    assert _telling(ours) == _telling(theirs) == TOLD[format]
    assert receipt.outcome is Outcome.ACCEPTED
    assert answer["state"] == "Enqueued"
    assert (answer["notificationId"], receipt.provider_id) == ("n-1", "n-2")


def _given(hub: FakeHub, sent: Any, now: int, *, format: str) -> dict[str, Any]:
    apple = format == "apple"
    return {
        "connection": hub.connection_string,
        "hub": HUB,
        "format": format,
        "handle": sent.device.address,
        "body": apns_message.payload(sent) if apple else {"message": fcm_message.message(sent, now)},
        "headers": apns_message.headers(sent, sent.device.app, now) if apple else {},
    }


def _telling(request: Request) -> dict[str, str]:
    """All that Azure reads, the signature aside: that is of its own time."""
    return {
        name: value for name, value in request.headers.items() if name not in OWN_BUSINESS | {"authorization"}
    }


async def test_the_sdk_signs_the_same(tmp_path: Path, clock: FakeClock) -> None:
    """Its signature is for another second than any of ours; made for that second, ours is the same text."""
    sent = push(device(clock))
    async with FakeHub(tmp_path, clock=None) as hub:
        await npm.node(SEND, _given(hub, sent, clock.now(), format="apple"))
        (request,) = hub.taken
        theirs = request.headers["authorization"]
        (end,) = re.findall(r"&se=([0-9]+)&", theirs)
        assert sign(Access(f"https://{hub.endpoint}/", POLICY, KEY), int(end)) == theirs
