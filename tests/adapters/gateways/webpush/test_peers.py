"""What others wrote about Web Push agrees with the gateway: npm's web-push and web-push-testing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2 as httpx
import pytest
from msgspec.structs import replace

from pns.adapters.gateways.webpush import message as webpush_message
from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.vapid import Vapid, new_private_key, public_key
from pns.contracts.gateway import Outcome
from pns.model.device import Device, Registration, Subscription, SubscriptionKeys
from pns.model.push import PushControls, WebPushControls
from pns.runtime.clock import Clock, SystemClock
from pns.testing import FakeClock
from tests.adapters.gateways import npm
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.webpush import SUBJECT, device, device_at, gateway
from tests.adapters.gateways.webpush.test_vapid import origin
from tests.harness.push_service import Message, PushService, Subscriber

# web-push-testing would listen on every address of the machine.
SERVER = """
const { PushApiModel } = require("web-push-testing/src/PushApiModel");
const Server = require("web-push-testing/src/server");
const model = new PushApiModel();
const server = new Server(model, 0);
const listen = server._app.listen.bind(server._app);
server._app.listen = () => {
  const listener = listen(0, "127.0.0.1", () => {
    const url = `http://127.0.0.1:${listener.address().port}`;
    model.notifyUrl = `${url}/notify/`;
    console.log(url);
  });
  return listener;
};
server.startServer();
"""
DETAILS = """
const { generateRequestDetails } = require("web-push");
const details = endpoint => generateRequestDetails({ endpoint, keys: given.keys }, given.text, given.options);
console.log(JSON.stringify(given.endpoints.map(details)));
"""


class WebPushTesting:
    """A running web-push-testing, and a gateway whose key its subscriptions are for."""

    def __init__(self, http: httpx.AsyncClient, gateway: WebPush) -> None:
        self._http = http
        self.gateway = gateway

    async def ask(self, path: str, **data: str) -> Any:
        response = await self._http.post(path, data=data)
        assert response.status_code == 200, response.text
        return response.json().get("data") if response.text != "OK" else None

    async def subscribe(self) -> tuple[Device, str]:
        """A device, installed as a browser asks for it, and how the service calls it."""
        key = self.gateway.facts["application_server_key"]
        made = await self.ask("/subscribe", userVisibleOnly="true", applicationServerKey=key)
        subscription = Subscription(made["endpoint"], SubscriptionKeys(**made["keys"]))
        registration = Registration(network="webpush", subscription=subscription)
        address = await self.gateway.register(registration, "d1")
        return device_at(address, SystemClock()), made["clientHash"]


@pytest.fixture
async def testing() -> AsyncIterator[WebPushTesting]:
    async with (
        npm.server(SERVER) as url,
        gateway(SystemClock()) as started,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield WebPushTesting(http, started)


async def test_web_push_testing_reads_what_was_pushed(testing: WebPushTesting) -> None:
    device, name = await testing.subscribe()
    sent = [push(device), push(device, "Grüße 🎉", push_key=2), push(device, dismissed=("n-1",), push_key=3)]
    receipts = await asyncio.gather(*(testing.gateway.push(each) for each in sent))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    read = (await testing.ask("/get-notifications", clientHash=name))["messages"]
    assert sorted(read) == sorted(webpush_message.text(each).decode() for each in sent)


async def test_a_subscription_that_expired_there_is_a_dead_device(testing: WebPushTesting) -> None:
    device, name = await testing.subscribe()
    await testing.ask(f"/expire-subscription/{name}")
    receipt = await testing.gateway.push(push(device))
    assert receipt.outcome is Outcome.DEVICE_INVALID
    assert receipt.reason == '410 {"reason":"Push subscription has unsubscribed or expired."}'


async def test_what_is_not_for_its_subscriber_is_not_taken(testing: WebPushTesting) -> None:
    """That this peer can say no: to no authorization, another's auth secret, and another key of ours."""
    device, _ = await testing.subscribe()
    other, _ = await testing.subscribe()
    wrong = replace(device, keys={**device.keys, "auth": other.keys["auth"]})
    assert (await testing.gateway.push(push(wrong))).outcome is Outcome.FAILED
    bare = {"content-encoding": "aes128gcm", "content-type": "application/octet-stream", "ttl": "60"}
    body = webpush_message.encrypted(b"{}", device.keys)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(device.address, headers=bare, content=body)).status_code == 400
    async with gateway(SystemClock()) as stranger:
        assert (await stranger.push(push(device))).outcome is Outcome.FAILED


async def test_what_is_sent_is_what_web_push_would_send(clock: FakeClock) -> None:
    private_key = new_private_key()
    controls = PushControls(webpush=WebPushControls(urgency="high", topic="order-1", ttl_seconds=3600))
    async with (
        PushService(now=lambda: clock.now() / 1e6) as service,
        gateway(clock, private_key) as started,
    ):
        theirs = device(Subscriber(service), clock)
        sent = push(theirs, controls=controls)
        assert (await started.push(sent)).outcome is Outcome.ACCEPTED
        details = await web_push(private_key, [theirs.address], theirs.keys, webpush_message.text(sent))
    ours, their = service.messages[0], request(details[0])
    changing = {"authorization", "host"}
    assert {k: v for k, v in ours.headers.items() if k not in changing} == {
        k: v for k, v in their.headers.items() if k not in changing
    }
    assert said(ours, clock) == said(their, SystemClock())


async def test_tokens_are_for_whom_web_push_says(clock: FakeClock) -> None:
    private_key = new_private_key()
    vapid = Vapid(private_key, subject=SUBJECT, clock=clock)
    keys = {"p256dh": public_key(new_private_key()), "auth": "BTBZMqHH6r4Tts7J_aSIgg"}
    origins = [
        "https://push.example",
        "https://push.example:8443",
        "http://localhost:8090",
        "https://1.2.3.4",
    ]
    for at, detail in zip(
        origins, await web_push(private_key, [f"{at}/send/1" for at in origins], keys, b"x"), strict=True
    ):
        ours = Message({"authorization": vapid.authorization(origin(at))}, b"")
        assert said(ours, clock) == said(request(detail), SystemClock())


async def web_push(
    private_key: str, endpoints: list[str], keys: Mapping[str, str], text: bytes
) -> list[dict[str, Any]]:
    """The requests that npm's web-push would make."""
    vapid = {"subject": SUBJECT, "publicKey": public_key(private_key), "privateKey": private_key}
    options = {
        "TTL": 3600,
        "urgency": "high",
        "topic": "order-1",
        "contentEncoding": "aes128gcm",
        "vapidDetails": vapid,
    }
    given = {"endpoints": endpoints, "keys": dict(keys), "text": text.decode(), "options": options}
    details: list[dict[str, Any]] = await npm.node(DETAILS, given)
    assert {detail["method"] for detail in details} == {"POST"}
    return details


def request(detail: Mapping[str, Any]) -> Message:
    return Message({name.lower(): str(value) for name, value in detail["headers"].items()}, b"")


def said(message: Message, clock: Clock) -> tuple[object, ...]:
    """What VAPID says in `message`: header, claims, key, and for how many hours by the signer's `clock`."""
    claims = dict(message.token.claims)
    hours = round((claims.pop("exp") - clock.now() / 1_000_000) / 3600, 1)
    return message.token.header, claims, message.key, hours
