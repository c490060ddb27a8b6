"""MQTT with a real broker: from a registration to what a foreign subscriber reads, and what nobody may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiomqtt
import pytest

from pns.adapters.gateways.mqtt import dynamic_security
from pns.adapters.gateways.mqtt.connection import KEEPALIVE_SECONDS
from pns.adapters.gateways.mqtt.gateway import MQTT
from pns.contracts.gateway import Outcome
from pns.errors import Unavailable
from pns.model.device import Device
from pns.model.push import MQTTControls, PushControls
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.mqtt import DEVICE_ID, REGISTRATION, device, gateway, subscriber
from tests.harness.mosquitto import Mosquitto
from tests.harness.waiting import eventually

OTHER_ID = "f" * 32
NOT_AUTHORIZED = 0x87
LATE_SECONDS = 5


class App:
    """An app that has installed itself, and keeps a session at the broker."""

    def __init__(self, gateway: MQTT, clock: FakeClock, device_id: str = DEVICE_ID) -> None:
        self._gateway, self._clock, self._device_id = gateway, clock, device_id
        self.reply: Mapping[str, Any] = {}
        self.device: Device

    async def register(self) -> None:
        address = await self._gateway.register(REGISTRATION, self._device_id)
        self.reply, self.device = address.reply, device(address, self._clock, device_id=self._device_id)

    async def subscribe(self) -> None:
        async with self.client() as client:
            assert await client.subscribe(self.reply["topic"], qos=1) == [1]

    def client(self, **options: Any) -> aiomqtt.Client:
        return subscriber(dict(self.reply), **options)

    async def next(self, client: aiomqtt.Client) -> dict[str, Any]:
        async with asyncio.timeout(LATE_SECONDS):
            told: dict[str, Any] = json.loads((await anext(client.messages)).payload)
            return told


@pytest.fixture
async def app(mqtt: MQTT, clock: FakeClock) -> App:
    app = App(mqtt, clock)
    await app.register()
    await app.subscribe()
    return app


async def refused(client: aiomqtt.Client) -> bool:
    """Whether the broker does not let it in."""
    try:
        async with client:
            return False
    except aiomqtt.MqttError as error:
        return "Not authorized" in str(error)


# ── the way of a push ─────────────────────────────────────────────────────────────────────────────────


async def test_a_foreign_subscriber_reads_it(mqtt: MQTT, app: App) -> None:
    """mosquitto_sub, with nothing but what the installation was told."""
    told = app.reply
    login = ["-u", told["username"], "-P", told["password"], "-i", told["client_id"]]
    session = ["-V", "mqttv5", "-c", "-x", str(told["session_expiry_seconds"]), "-q", "1"]
    place = ["-h", told["host"], "-p", str(told["port"]), "-t", told["topic"]]
    assert (await mqtt.push(push(app.device))).outcome is Outcome.ACCEPTED
    reading = await asyncio.create_subprocess_exec(
        *["mosquitto_sub", *place, *login, *session, "-C", "1", "-W", str(LATE_SECONDS)],
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await reading.communicate()
    assert json.loads(written)["title"] == "Order shipped"


async def test_a_connected_device_gets_it_at_once(mqtt: MQTT, app: App) -> None:
    async with app.client() as client:
        assert (await mqtt.push(push(app.device))).outcome is Outcome.ACCEPTED
        assert (await app.next(client))["id"] == "n-1"


async def test_a_device_that_was_offline_gets_all_in_order(mqtt: MQTT, app: App) -> None:
    for number in range(1, 4):
        receipt = await mqtt.push(push(app.device, push_key=number, notification_id=f"n-{number}"))
        assert receipt.outcome is Outcome.ACCEPTED
    async with app.client() as client:
        assert [(await app.next(client))["id"] for _ in range(3)] == ["n-1", "n-2", "n-3"]


async def test_the_broker_is_told_for_how_long(mqtt: MQTT, app: App, clock: FakeClock) -> None:
    """Until the push's end, or as long as its sender wants; 0 seconds are 1, because Mosquitto takes 0 for
    ever.
    """
    wanted = [None, 60, 0]
    async with app.client() as client:
        clock.advance(3600)
        kept = []
        for number, seconds in enumerate(wanted, 1):
            controls = PushControls(mqtt=MQTTControls(ttl_seconds=seconds))
            await mqtt.push(push(app.device, push_key=number, controls=controls))
            message = await anext(client.messages)
            assert message.qos == 1
            assert not message.retain
            kept.append(vars(message.properties)["MessageExpiryInterval"])
    assert kept == [86_400 - 3600, 60, 1]


async def test_nobody_reads_there_yet(mqtt: MQTT, clock: FakeClock) -> None:
    """The broker throws away what no session waits for; it is tried again, and so it arrives."""
    app = App(mqtt, clock)
    await app.register()
    receipt = await mqtt.push(push(app.device))
    assert receipt.outcome is Outcome.RETRY
    assert receipt.reason == "the device has not subscribed yet (16 No matching subscribers)"
    await app.subscribe()
    assert (await mqtt.push(push(app.device, attempt=2))).outcome is Outcome.ACCEPTED


async def test_more_at_once_than_the_broker_takes(mqtt: MQTT, app: App, broker: Mosquitto) -> None:
    """Mosquitto takes 20 and ends the connection of whoever sends more."""
    receipts = await asyncio.gather(*(mqtt.push(push(app.device, push_key=n)) for n in range(300)))
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert "receive maximum" not in broker.log.read_text().lower()


# ── what a device may not ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def odd_defaults(broker: Mosquitto) -> None:
    """Where no role says otherwise, everybody may do what a device may not, and not what it may."""
    broker.set_defaults(subscribe=True, publishClientSend=True, publishClientReceive=False)


@pytest.mark.usefixtures("odd_defaults")
@pytest.mark.parametrize(
    "topic", ["pns/com.example.shop/" + OTHER_ID, "pns/#", "#", "+/+/+", "$share/g/pns/com.example.shop/+"]
)
async def test_it_reads_no_foreign_topic(app: App, topic: str) -> None:
    async with app.client() as client:
        (answer,) = await client.subscribe(topic, qos=1)
        assert getattr(answer, "value", None) == NOT_AUTHORIZED


@pytest.mark.usefixtures("odd_defaults")
@pytest.mark.parametrize("foreign", [True, False])
async def test_it_publishes_nothing(mqtt: MQTT, app: App, clock: FakeClock, foreign: bool) -> None:
    other = App(mqtt, clock, OTHER_ID)
    await other.register()
    await other.subscribe()
    reader = other if foreign else app
    async with app.client() as client:
        await client.publish(reader.reply["topic"], b'{"id":"forged"}', qos=1)
    await mqtt.push(push(reader.device))
    async with reader.client() as client:
        assert (await reader.next(client))["id"] == "n-1", "the forged one would have come first"


async def test_it_takes_over_no_foreign_session(mqtt: MQTT, app: App, clock: FakeClock) -> None:
    other = App(mqtt, clock, OTHER_ID)
    await other.register()
    assert await refused(other.client(identifier=app.reply["client_id"]))
    assert not await refused(other.client())


# ── installing again, and no more ─────────────────────────────────────────────────────────────────────


async def test_installing_again_makes_a_new_password(mqtt: MQTT, app: App) -> None:
    """The old one is void. The session stays, with what waited and what comes."""
    old = app.client()
    await mqtt.push(push(app.device, notification_id="before"))
    await app.register()
    await mqtt.push(push(app.device, notification_id="after"))
    assert await refused(old)
    async with app.client() as client:
        assert [(await app.next(client))["id"] for _ in range(2)] == ["before", "after"]


async def test_a_connected_device_that_installs_again_keeps_its_session(mqtt: MQTT, app: App) -> None:
    async with app.client() as client:
        await app.register()
        assert (await mqtt.push(push(app.device))).outcome is Outcome.ACCEPTED
        with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
            await app.next(client)
    async with app.client() as client:
        assert (await app.next(client))["id"] == "n-1"


async def test_uninstalling_takes_the_login_back(mqtt: MQTT, app: App) -> None:
    async with app.client() as client:
        await mqtt.unregister(app.device)
        with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
            await app.next(client)
    assert await refused(app.client())
    await mqtt.unregister(app.device)
    await app.register()
    assert not await refused(app.client())


async def test_nothing_waits_for_the_next_owner_of_a_device(mqtt: MQTT, app: App) -> None:
    await mqtt.push(push(app.device, notification_id="of the last owner"))
    await mqtt.unregister(app.device)
    await app.register()
    await app.subscribe()
    await mqtt.push(push(app.device, notification_id="of the next"))
    async with app.client() as client:
        assert (await app.next(client))["id"] == "of the next"


async def test_uninstalling_raises_nothing(
    mqtt: MQTT, app: App, broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.stop()
    await mqtt.unregister(app.device)
    assert "the login of an MQTT device was not taken back (the broker is away" in caplog.text
    assert f"mosquitto_ctrl … dynsec deleteClient pns-device-{DEVICE_ID} does it" in caplog.text
    for private in ("alice", app.reply["password"]):
        assert private not in caplog.text


async def test_a_login_cannot_be_made(
    mqtt: MQTT, app: App, broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.stop()
    with pytest.raises(Unavailable, match="The MQTT broker gives no login now"):
        await app.register()
    assert "the broker is away (ConnectionRefusedError)" in caplog.text


async def test_pns_may_not_make_logins(
    broker: Mosquitto, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker.control("createClient", "half", "-p", "trusted")
    broker.control("addClientRole", "half", "push")
    async with gateway(clock, broker.url, username="half", password="trusted") as mqtt:
        with pytest.raises(Unavailable):
            await mqtt.register(REGISTRATION, DEVICE_ID)
        said = "the broker refuses to let PNS read $CONTROL/dynamic-security/v1/response (Not authorized)"
        assert said in caplog.text
        assert await mqtt.trouble() == said


async def test_there_is_no_plugin(
    mqtt: MQTT, app: App, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks what nobody answers is told so, soon."""
    monkeypatch.setattr(dynamic_security, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(dynamic_security, "CONTROL", "pns/app/nobody")
    with pytest.raises(Unavailable):
        await app.register()
    assert "is the plugin loaded?" in await mqtt.trouble()


# ── a broker in trouble ───────────────────────────────────────────────────────────────────────────────


async def test_a_broker_that_went_and_came_back(mqtt: MQTT, app: App, broker: Mosquitto) -> None:
    assert (await mqtt.push(push(app.device))).outcome is Outcome.ACCEPTED
    await broker.stop(within=5)
    await eventually(lambda: _is(mqtt, app, Outcome.UNAVAILABLE))
    assert await mqtt.trouble() == "the broker is away (ConnectionRefusedError)"
    await broker.start()
    await app.subscribe()
    assert (await mqtt.push(push(app.device))).outcome is Outcome.ACCEPTED
    assert await mqtt.trouble() == ""


async def _is(mqtt: MQTT, app: App, outcome: Outcome) -> bool:
    return (await mqtt.push(push(app.device))).outcome is outcome


async def test_a_push_that_waits_for_its_acknowledgement_hears_of_the_end(
    mqtt: MQTT, app: App, broker: Mosquitto
) -> None:
    await mqtt.push(push(app.device))
    broker.freeze()
    waiting = [asyncio.create_task(mqtt.push(push(app.device, push_key=n))) for n in range(30)]
    await asyncio.sleep(0)
    await broker.stop()
    async with asyncio.timeout(LATE_SECONDS):
        receipts = await asyncio.gather(*waiting)
    assert {receipt.outcome for receipt in receipts} == {Outcome.UNAVAILABLE}


async def test_a_broker_that_stood_still(mqtt: MQTT, app: App, broker: Mosquitto) -> None:
    """A push can be cancelled meanwhile, and the others go on when the broker does."""
    await mqtt.push(push(app.device))
    broker.freeze()
    waiting = [asyncio.create_task(mqtt.push(push(app.device, push_key=n))) for n in range(60)]
    await asyncio.sleep(0)
    for task in waiting[:40]:
        task.cancel()
    done = await asyncio.gather(*waiting[:40], return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in done)
    broker.thaw()
    async with asyncio.timeout(LATE_SECONDS):
        receipts = await asyncio.gather(*waiting[40:])
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}


async def test_stopping_does_not_wait_for_a_broker_that_stands_still(
    mqtt: MQTT, app: App, broker: Mosquitto
) -> None:
    await mqtt.push(push(app.device))
    broker.freeze()
    waiting = asyncio.create_task(mqtt.push(push(app.device)))
    await asyncio.sleep(0)
    async with asyncio.timeout(KEEPALIVE_SECONDS / 2):  # after which the line would be given up by itself
        await mqtt.stop()
        assert (await waiting).outcome is Outcome.UNAVAILABLE
