"""A Mosquitto, a device that has a session there, and a gateway whose line goes through a proxy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pns.adapters.gateways.mqtt.gateway import MQTT
from pns.model.device import Address, Device, Registration
from pns.settings import MQTTSettings
from pns.testing import FakeClock
from tests.adapters.gateways.peers import Answer
from tests.harness.mosquitto import PASSWORD, USERNAME, Mosquitto
from tests.harness.mqtt_proxy import DISCONNECT_MOVED, PAGE, MQTTProxy, Publication, puback

DEVICE_ID = "0123456789abcdef" * 2
REGISTRATION = Registration(network="mqtt", app="com.example.shop")


class MQTTPeer:
    """See Peer. MQTT has no word for an address that is no more, and none for how long to wait."""

    answers: frozenset[Answer] = frozenset(
        {"accept", "busy", "refuse", "hang", "reset", "redirect", "nonsense"}
    )
    registration = REGISTRATION

    def __init__(self, gateway: MQTT, device: Device, proxy: MQTTProxy) -> None:
        self.gateway = gateway
        self.device = device
        self._proxy = proxy

    def answer(self, answer: Answer) -> None:
        self._proxy.verdict = lambda sent: _told(answer, sent)

    @property
    def requests(self) -> int:
        return len(self._proxy.publications)

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(publication.payload) for publication in self._proxy.taken]


def _told(answer: Answer, sent: Publication) -> bytes | None:
    """Quota exceeded, not authorized, server moved: reason codes of MQTT 5 §2.4."""
    if answer == "reset":
        raise ConnectionResetError
    return {
        "accept": None,
        "busy": puback(sent.number, 0x97),
        "refuse": puback(sent.number, 0x87),
        "hang": b"",
        "redirect": DISCONNECT_MOVED,
        "nonsense": PAGE,
    }[answer]


def device(address: Address, clock: FakeClock, **fields: Any) -> Device:
    known: dict[str, Any] = {
        "device_id": DEVICE_ID,
        "user_id": "alice",
        "network": "mqtt",
        "gateway": "mqtt",
        "address": address.address,
        "keys": address.keys,
        "app": REGISTRATION.app,
        "registered_at": clock.now(),
    }
    return Device(**known | fields)


def subscriber(reply: dict[str, Any], **options: Any) -> aiomqtt.Client:
    """A device's client, made of nothing but what its installation was told."""
    session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    session.SessionExpiryInterval = reply["session_expiry_seconds"]
    known: dict[str, Any] = {
        "port": reply["port"],
        "identifier": reply["client_id"],
        "username": reply["username"],
        "password": reply.get("password"),
        "protocol": aiomqtt.ProtocolVersion.V5,
        "clean_start": reply["clean_start"],
        "properties": session,
    }
    return aiomqtt.Client(reply["host"], **known | options)


@asynccontextmanager
async def gateway(clock: FakeClock, url: str, **settings: Any) -> AsyncIterator[MQTT]:
    """A started gateway that makes logins by the plugin, unless `settings` say otherwise."""
    known = {"username": USERNAME, "password": PASSWORD, "provisioning": "dynamic-security"}
    made = MQTT(MQTTSettings(url=url, **known | settings), clock=clock)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def peer(folder: Path, clock: FakeClock) -> AsyncIterator[MQTTPeer]:
    async with (
        Mosquitto() as broker,
        MQTTProxy(broker.port) as proxy,
        gateway(clock, f"mqtt://127.0.0.1:{proxy.port}", device_url=broker.url) as started,
    ):
        address = await started.register(REGISTRATION, DEVICE_ID)
        async with subscriber(dict(address.reply)) as client:
            await client.subscribe(address.address, qos=1)
        yield MQTTPeer(started, device(address, clock), proxy)
