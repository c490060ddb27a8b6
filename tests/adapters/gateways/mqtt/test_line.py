"""The line to an MQTT broker: who is let in, whom it trusts, and how it learns that nobody is there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import uvloop

from pns.adapters.gateways.mqtt import connection as mqtt_connection
from pns.adapters.gateways.mqtt.connection import Broker, BrokerAway, Connection
from pns.adapters.gateways.mqtt.line import BrokerLine
from pns.contracts.gateway import Outcome, Receipt
from pns.model.device import Address, Device
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.mqtt import DEVICE_ID, REGISTRATION, device, gateway, peer, subscriber
from tests.harness.certificate import self_signed
from tests.harness.mosquitto import PASSWORD, USERNAME, Mosquitto
from tests.harness.proxy import FaultProxy
from tests.harness.waiting import eventually, stays


@pytest.fixture
async def broker() -> AsyncIterator[Mosquitto]:
    async with Mosquitto() as broker:
        yield broker


# ── TLS and logins ────────────────────────────────────────────────────────────────────────────────────


async def test_tls(tmp_path: Path, clock: FakeClock) -> None:
    _, certificate = self_signed(tmp_path, "localhost")
    async with (
        Mosquitto(certificate=certificate) as broker,
        gateway(clock, f"mqtts://localhost:{broker.tls_port}", ca_file=str(certificate)) as mqtt,
    ):
        address = await mqtt.register(REGISTRATION, DEVICE_ID)
        assert (address.reply["tls"], address.reply["port"]) == (True, broker.tls_port)
        trust = ssl.create_default_context(cafile=certificate)
        async with subscriber(dict(address.reply), tls_context=trust) as client:
            await client.subscribe(address.address, qos=1)
            pushes = [push(device(address, clock), push_key=number) for number in range(50)]
            receipts = await asyncio.gather(*(mqtt.push(each) for each in pushes))
            assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
            for _ in pushes:
                assert b"Order shipped" in (await anext(client.messages)).payload


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho lets it fall
async def test_a_broker_that_nobody_trusts_is_told_nothing(tmp_path: Path, clock: FakeClock) -> None:
    _, certificate = self_signed(tmp_path, "localhost")
    async with (
        Mosquitto(certificate=certificate) as broker,
        gateway(clock, f"mqtts://localhost:{broker.tls_port}") as mqtt,
    ):
        receipt = await mqtt.push(push(_somebody(clock)))
        assert receipt.outcome is Outcome.REFUSED
        assert receipt.reason == "the broker's certificate is not trusted: see push.mqtt.ca_file"
        assert await mqtt.trouble() == receipt.reason
        lines = [line.raddr.port for line in psutil.Process().net_connections() if line.raddr]
        assert broker.tls_port not in lines, "nothing of the attempt is left open"


async def test_a_wrong_password(broker: Mosquitto, clock: FakeClock) -> None:
    async with gateway(clock, broker.url, password="wrong") as mqtt:
        receipt = await mqtt.push(push(_somebody(clock)))
        assert receipt.outcome is Outcome.REFUSED
        assert receipt.reason == "the broker refuses the connection (Not authorized)"
        assert await mqtt.trouble() == receipt.reason


async def test_an_account_that_may_not_publish(broker: Mosquitto, clock: FakeClock) -> None:
    broker.control("createClient", "mute", "-p", "mute")
    async with gateway(clock, broker.url, username="mute", password="mute", provisioning="none") as mqtt:
        receipt = await mqtt.push(push(_somebody(clock)))
        assert receipt.outcome is Outcome.REFUSED
        assert receipt.reason.endswith("publishClientSend pns/# allow (135 Not authorized)")
        assert await mqtt.trouble() == receipt.reason


def _somebody(clock: FakeClock) -> Device:
    return device(Address("pns/app/somebody"), clock)


async def test_what_comes_together_is_read_together(tmp_path: Path) -> None:
    """TLS may hold more than was asked for, which no selector sees: here the goodbye behind CONNACK."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x8b\x00")
        await reader.read()
        writer.close()

    context, certificate = self_signed(tmp_path, "localhost")
    async with await asyncio.start_server(answer, "localhost", 0, ssl=context) as server:
        trust = ssl.create_default_context(cafile=certificate)
        connection = Connection(Broker("localhost", server.sockets[0].getsockname()[1], trusted=trust))
        await connection.open()
        assert connection.lost == "the line was lost (Server shutting down)"


# ── a broker that is not there ────────────────────────────────────────────────────────────────────────


async def test_a_dead_line_is_found_by_itself(
    broker: Mosquitto, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was cut without a word, as by a router, takes every push until PINGREQ has no answer."""
    monkeypatch.setattr(mqtt_connection, "KEEPALIVE_SECONDS", 1)
    async with FaultProxy(broker.port) as proxy, gateway(clock, proxy.through(broker.url)) as mqtt:
        address = await mqtt.register(REGISTRATION, DEVICE_ID)
        proxy.swallow()
        async with asyncio.timeout(10):
            receipt = await mqtt.push(push(device(address, clock)))
        assert receipt.outcome is Outcome.UNAVAILABLE
        assert receipt.reason == "the line was lost (Keep alive timeout)"
        proxy.resume()
        assert await mqtt.trouble() == ""


async def test_a_broker_that_says_nothing(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """TCP answers, MQTT does not: the attempt ends by itself, and the next one is a new one."""
    monkeypatch.setattr(mqtt_connection, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mqtt://127.0.0.1:{silent.getsockname()[1]}"
        async with gateway(clock, url) as mqtt:
            for _ in range(2):
                receipt = await mqtt.push(push(_somebody(clock)))
                assert receipt == Receipt(Outcome.UNAVAILABLE, "the broker does not answer")


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (
            b"\x20\x03\x00\x88\x00",
            Outcome.UNAVAILABLE,
            "the broker refuses the connection (Server unavailable)",
        ),
        (b"\x20\x03\x00\x97\x00", Outcome.UNAVAILABLE, "the broker refuses the connection (Quota exceeded)"),
        (b"\x20\x03\x00\x8a\x00", Outcome.REFUSED, "the broker refuses the connection (Banned)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Outcome.UNAVAILABLE, "the line was lost (Unspecified error)"),
        (b"", Outcome.UNAVAILABLE, "the line was lost (Unspecified error)"),
    ],
)
async def test_a_broker_that_does_not_want_us(
    clock: FakeClock, said: bytes, outcome: Outcome, reason: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with gateway(clock, url) as mqtt:
            assert await mqtt.push(push(_somebody(clock))) == Receipt(outcome, reason)


async def test_a_name_that_nobody_has(clock: FakeClock) -> None:
    async with gateway(clock, "mqtt://broker.invalid") as mqtt:
        receipt = await mqtt.push(push(_somebody(clock)))
        assert receipt.outcome is Outcome.UNAVAILABLE
        assert "broker.invalid" not in receipt.reason


async def test_no_more_than_the_broker_takes_at_once(tmp_path: Path, clock: FakeClock) -> None:
    """Mosquitto says 20; who sends more may be put out (MQTT 5 §4.9). A cancelled push keeps its place."""
    async with peer(tmp_path, clock) as mqtt:
        mqtt.answer("hang")
        pushes = [asyncio.create_task(mqtt.gateway.push(push(mqtt.device, push_key=n))) for n in range(30)]
        await eventually(lambda: mqtt.requests == 20)
        for task in pushes[:10]:
            task.cancel()
        await stays(lambda: mqtt.requests == 20, seconds=0.2)
        await mqtt.gateway.stop()
        receipts = await asyncio.gather(*pushes[10:])
        assert {receipt.outcome for receipt in receipts} == {Outcome.UNAVAILABLE}


# ── one line for all ──────────────────────────────────────────────────────────────────────────────────


async def test_all_share_one_connection(broker: Mosquitto) -> None:
    line = BrokerLine(_at(broker))
    first, *others = await asyncio.gather(*(line.connection() for _ in range(20)))
    assert all(other is first for other in others)
    first.close()
    assert await line.connection() is not first
    await line.close()


async def test_who_gives_up_takes_the_attempt_from_nobody(broker: Mosquitto) -> None:
    line = BrokerLine(_at(broker))
    waiting = [asyncio.create_task(line.connection()) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert not (await waiting[1]).lost
    await line.close()


async def test_closing_ends_an_attempt(broker: Mosquitto) -> None:
    line = BrokerLine(_at(broker))
    waiting = asyncio.create_task(line.connection())
    await asyncio.sleep(0)
    await line.close()
    await line.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_closed_connection_is_of_no_use(broker: Mosquitto) -> None:
    Connection(_at(broker)).close()
    connection = Connection(_at(broker))
    await connection.open()
    connection.close()
    connection.close()
    with pytest.raises(BrokerAway, match="was closed"):
        await connection.publish("pns/app/somebody", b"")
    with pytest.raises(BrokerAway, match="was closed"):
        await connection.subscribe("pns/app/somebody", print)


def test_it_runs_on_uvloop(tmp_path: Path) -> None:
    """As in `pns serve`."""

    async def run() -> None:
        async with Mosquitto() as broker, gateway(FakeClock(), broker.url) as mqtt:
            assert await mqtt.trouble() == ""

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _at(broker: Mosquitto) -> Broker:
    return Broker("127.0.0.1", broker.port, USERNAME, PASSWORD)
