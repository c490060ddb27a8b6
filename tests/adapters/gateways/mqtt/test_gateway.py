"""What the MQTT gateway takes, what it tells a device, and what it sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pns.adapters.gateways.mqtt.gateway import MQTT
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import SettingsError
from pns.model.device import Registration, Subscription, SubscriptionKeys
from pns.model.push import Cause, MQTTControls, PushControls
from pns.settings import MQTTSettings
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.mqtt import DEVICE_ID, MQTTPeer, gateway, peer

SUBSCRIPTION = Subscription("https://push.example.com/1", SubscriptionKeys("p", "a"))


@pytest.fixture
async def mqtt(tmp_path: Path, clock: FakeClock) -> AsyncIterator[MQTTPeer]:
    async with peer(tmp_path, clock) as mqtt:
        yield mqtt


# ── settings and registrations ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "mqtt://"),
        ("url", "mqtt://admin:secret-word@broker"),
        ("url", "mqtt://broker:secret-word"),
        ("url", "mqtt://broker:0"),
        ("device_url", "https://secret-word.example.com"),
        ("device_url", "broker.example.com:1883"),
        ("topic_prefix", ""),
        ("topic_prefix", "secret-word/#"),
        ("topic_prefix", "+"),
        ("topic_prefix", "$SYS"),
        ("topic_prefix", "/pns"),
        ("topic_prefix", "pns/"),
        ("ca_file", "/nowhere/secret-word.pem"),
    ],
)
async def test_settings_that_cannot_work(clock: FakeClock, key: str, value: str) -> None:
    fields: dict[str, Any] = {"url": "mqtts://broker", key: value}
    settings = MQTTSettings(**fields)
    with pytest.raises(SettingsError, match=rf"^push\.mqtt\.{key} ") as refused:
        await MQTT(settings, clock=clock).start()
    assert "secret-word" not in str(refused.value)


@pytest.mark.parametrize(
    ("registration", "field"),
    [
        (Registration(network="mqtt", token="t"), "/token"),
        (Registration(network="mqtt", subscription=SUBSCRIPTION), "/subscription"),
        (Registration(network="mqtt", app="com/example"), "/app"),
        (Registration(network="mqtt", app="#"), "/app"),
        (Registration(network="mqtt", app="+"), "/app"),
        (Registration(network="mqtt", app="\x85"), "/app"),
        (Registration(network="mqtt", app="\uffff"), "/app"),
    ],
)
async def test_what_cannot_be_registered(clock: FakeClock, registration: Registration, field: str) -> None:
    async with gateway(clock, "mqtt://broker", provisioning="none") as started:
        with pytest.raises(ValueError, match="must") as refused:
            started.check(registration)
        assert refused.value.args[0] == field
        with pytest.raises(ValueError, match="must"):
            await started.register(registration, DEVICE_ID)


# ── what a device is told ─────────────────────────────────────────────────────────────────────────────


async def test_a_device_is_told_how_to_connect(clock: FakeClock) -> None:
    """Where the operator's own rules decide, its user name is its id, and PNS knows no password."""
    url = "wss://mqtt.example.com/mqtt"
    async with gateway(clock, "mqtt://10.0.0.7", device_url=url, provisioning="none") as started:
        address = await started.register(Registration(network="mqtt"), DEVICE_ID)
    assert address.address == f"pns/app/{DEVICE_ID}"
    assert address.keys == {"username": DEVICE_ID}
    assert address.reply == {
        "url": url,
        "host": "mqtt.example.com",
        "port": 443,
        "tls": True,
        "topic": f"pns/app/{DEVICE_ID}",
        "client_id": DEVICE_ID,
        "username": DEVICE_ID,
        "clean_start": False,
        "session_expiry_seconds": 2_419_200,
    }


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker", "broker", 8883, True),
        ("mqtt://[::1]:1884", "::1", 1884, False),
        ("ws://broker/mqtt", "broker", 80, False),
    ],
)
async def test_where_a_device_finds_the_broker(
    clock: FakeClock, url: str, host: str, port: int, tls: bool
) -> None:
    settings = {"provisioning": "none", "device_url": url, "topic_prefix": "house/push"}
    async with gateway(clock, "mqtt://broker", **settings) as started:
        address = await started.register(Registration(network="mqtt", app="shop"), DEVICE_ID)
    assert (address.reply["host"], address.reply["port"], address.reply["tls"]) == (host, port, tls)
    assert address.address == f"house/push/shop/{DEVICE_ID}"


# ── what is sent ──────────────────────────────────────────────────────────────────────────────────────

CAUSE = Cause(origin="EVENT", topic="news", sender="bob", bucketID="b1", objectID="o1", type_="UPDATED")
CONTROLS = PushControls(data={"room": 7}, mqtt=MQTTControls(data={"only": "mqtt"}))


async def test_a_message(mqtt: MQTTPeer, clock: FakeClock) -> None:
    fields: dict[str, Any] = {"category": "orders", "collapse_key": "order-1", "cause": CAUSE}
    await mqtt.gateway.push(push(mqtt.device, controls=CONTROLS, **fields))
    assert mqtt.taken == [
        {
            "id": "n-1",
            "title": "Order shipped",
            "body": "Today",
            "url": "/orders/1",
            "icon": "",
            "badge": 3,
            "category": "orders",
            "collapse_key": "order-1",
            "data": {"only": "mqtt"},
            "origin": "EVENT",
            "topic": "news",
            "sender": "bob",
            "when": clock.now() // 1000,
            "bucketID": "b1",
            "objectID": "o1",
            "type": "UPDATED",
        }
    ]


async def test_a_message_of_nothing_but_a_text(mqtt: MQTTPeer, clock: FakeClock) -> None:
    await mqtt.gateway.push(push(mqtt.device, "Ship ahoy"))
    told = {"title": "", "body": "Ship ahoy", "url": "", "icon": "", "badge": 3, "data": {}}
    when = {"origin": "EXPLICIT", "when": clock.now() // 1000}
    assert mqtt.taken == [{"id": "n-1", **told, **when}]


async def test_word_of_what_was_seen(mqtt: MQTTPeer) -> None:
    await mqtt.gateway.push(push(mqtt.device, "", notification_id="", dismissed=("n-1", "n-2"), badge=0))
    assert mqtt.taken == [{"dismissed": ["n-1", "n-2"], "badge": 0}]


async def test_bytes_are_counted_not_characters(mqtt: MQTTPeer) -> None:
    """4,096 bytes are sent, 4,097 are not; an "ä" has two of them."""
    await mqtt.gateway.push(push(mqtt.device, ""))
    room = 4096 - len(msgspec.json.encode(mqtt.taken[0]))
    full = "ä" * (room // 2) + "a" * (room % 2)
    assert (await mqtt.gateway.push(push(mqtt.device, full))).outcome is Outcome.ACCEPTED
    refused = await mqtt.gateway.push(push(mqtt.device, full + "a"))
    assert refused == Receipt(Outcome.FAILED, "4097 bytes, more than 4096")
    assert mqtt.requests == 2


async def test_what_pns_may_not_publish_it_says_how_to_allow(mqtt: MQTTPeer, clock: FakeClock) -> None:
    mqtt.answer("refuse")
    said = "may not publish to pns/…: addRoleACL … publishClientSend pns/# allow (135 Not authorized)"
    assert await mqtt.gateway.push(push(mqtt.device)) == Receipt(Outcome.REFUSED, said)
    assert await mqtt.gateway.trouble() == said
