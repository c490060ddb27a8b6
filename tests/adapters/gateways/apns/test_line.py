"""How the line to APNs lives: connections that are lost, hang, are full, or never come about."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from pns.adapters.gateways.apns import connection as apns_connection
from pns.adapters.gateways.apns import line as apns_line
from pns.adapters.gateways.apns.connection import Answer, Connection, NoAnswer, NoConnection, Question
from pns.adapters.gateways.apns.gateway import APNs
from pns.adapters.gateways.apns.line import IDLE_SECONDS
from pns.contracts.gateway import Outcome
from pns.model.push import Push
from pns.runtime.http1 import Place
from pns.runtime.proxy import Proxy
from pns.testing import FakeClock
from tests.adapters.gateways.apns_rules import Act, Reply
from tests.adapters.gateways.certificates import Authority
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.apns import device, started
from tests.harness import eventually
from tests.harness.proxy import FaultProxy
from tests.harness.server import free_port

LOSSES: list[Act] = ["reset", "goaway", "reset stream"]


def numbered(number: int = 1) -> Push:
    return push(device(FakeClock().now()), push_key=number)


async def outcome(gateway: APNs, number: int = 1) -> Outcome:
    return (await gateway.push(numbered(number))).outcome


@pytest.mark.parametrize("loss", LOSSES)
async def test_what_was_on_a_lost_connection_is_sent_again(
    service: FakeAPNs, gateway: APNs, loss: Act
) -> None:
    service.script.extend([loss] * 5)
    assert await outcome(gateway) is Outcome.ACCEPTED
    assert {sent.headers["apns-id"] for sent in service.requests} == {numbered().push_id}
    assert {sent.headers["apns-collapse-id"] for sent in service.requests} == {"n-1"}
    assert [sent.connection for sent in service.requests] == [0, 1, 2, 3, 4, 5], "on a new one each time"


@pytest.mark.parametrize("loss", LOSSES)
async def test_it_is_not_sent_again_for_ever(service: FakeAPNs, gateway: APNs, loss: Act) -> None:
    service.answer = loss
    assert await outcome(gateway) is Outcome.RETRY
    assert len(service.requests) == 6
    service.answer = Reply()
    assert await outcome(gateway) is Outcome.ACCEPTED


@pytest.mark.parametrize("loss", LOSSES)
async def test_others_on_the_connection_are_not_lost(service: FakeAPNs, gateway: APNs, loss: Act) -> None:
    service.script.extend(([Reply()] * 9 + [loss]) * 3)
    outcomes = await asyncio.gather(*(outcome(gateway, n) for n in range(50)))
    assert set(outcomes) == {Outcome.ACCEPTED}
    taken = {sent.headers["apns-id"] for sent in service.accepted}
    assert taken == {numbered(n).push_id for n in range(50)}


async def test_a_server_that_ends_each_connection_at_once(gateway: APNs, service: FakeAPNs) -> None:
    service.greeting = "goaway"
    assert await outcome(gateway) in (Outcome.RETRY, Outcome.UNAVAILABLE), "whether or not it went out"
    assert len(service.connections) == 6


class Lossy:
    """A connection that is lost after the request `went` out or before, and after `answers` to others."""

    idle_seconds = 0.0
    retired = True

    def __init__(self, *, went: bool, answers: int) -> None:
        self.answers = answers
        self._went = went

    async def ask(self, question: Question) -> Answer:
        question.went = self._went
        raise BrokenPipeError


@pytest.mark.parametrize(
    ("went", "answers", "error"),
    [(True, 0, NoAnswer), (True, 20, NoAnswer), (False, 0, NoConnection)],
)
async def test_which_losses_count(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, went: bool, answers: int, error: type[NoAnswer]
) -> None:
    tries = 0

    async def connect(*_: object, **__: object) -> Lossy:
        nonlocal tries
        tries += 1
        return Lossy(went=went, answers=answers)

    monkeypatch.setattr(apns_line, "connect", connect)
    line = apns_line.HostLine("https://localhost", ssl.create_default_context(), streams=1, clock=clock)
    async with asyncio.timeout(60):
        with pytest.raises(NoAnswer) as found:
            await line.post("/", {}, b"")
    assert type(found.value) is error
    assert tries == 6


async def test_waiting_for_a_stream_of_a_busy_connection_is_no_try(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock, service: FakeAPNs
) -> None:
    lossy = [Lossy(went=False, answers=20) for _ in range(50)]

    async def connect(
        place: Place, context: ssl.SSLContext, clock: FakeClock, *, proxy: Proxy | None
    ) -> Lossy | Connection:
        return lossy.pop() if lossy else await apns_connection.connect(place, context, clock, proxy=proxy)

    monkeypatch.setattr(apns_line, "connect", connect)
    async with started(service) as gateway:
        assert await outcome(gateway) is Outcome.ACCEPTED
    assert lossy == []


@pytest.mark.parametrize("act", [Reply(400, "IdleTimeout"), Reply(503, "Shutdown")])
async def test_a_server_that_says_goodbye_is_asked_nothing_more(
    service: FakeAPNs, gateway: APNs, act: Act
) -> None:
    service.script.append(act)
    assert await outcome(gateway) is Outcome.RETRY
    assert await outcome(gateway) is Outcome.ACCEPTED
    assert [sent.connection for sent in service.requests] == [0, 1]
    await service.connections[0].lost.wait()


@pytest.mark.parametrize(("idle", "connections"), [(IDLE_SECONDS, 1), (IDLE_SECONDS + 1, 2)])
async def test_a_connection_that_idled_long_is_not_relied_on(
    service: FakeAPNs, gateway: APNs, clock: FakeClock, idle: float, connections: int
) -> None:
    await outcome(gateway)
    clock.advance(idle)
    assert await outcome(gateway) is Outcome.ACCEPTED
    assert len(service.connections) == connections
    if connections == 2:
        await service.connections[0].lost.wait()


async def test_a_busy_connection_does_not_idle(service: FakeAPNs, gateway: APNs, clock: FakeClock) -> None:
    service.script.append("hang")
    hanging = asyncio.create_task(outcome(gateway))
    await eventually(lambda: service.hanging)
    clock.advance(IDLE_SECONDS + 1)
    assert await outcome(gateway, 2) is Outcome.ACCEPTED
    service.release()
    assert await hanging is Outcome.ACCEPTED
    assert len(service.connections) == 1


# ── hanging ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_hangs_gets_nothing_new_and_ends_with_its_last_push(
    service: FakeAPNs, gateway: APNs
) -> None:
    service.script.extend([Reply(), "hang", "hang"])
    await outcome(gateway)
    given_up = asyncio.create_task(outcome(gateway, 2))
    patient = asyncio.create_task(outcome(gateway, 3))
    await eventually(lambda: len(service.hanging) == 2)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await outcome(gateway, 4) is Outcome.ACCEPTED
    assert [sent.connection for sent in service.requests] == [0, 0, 0, 1]
    assert not service.connections[0].lost.is_set()
    service.release()
    assert await patient is Outcome.ACCEPTED
    await service.connections[0].lost.wait()


async def test_no_more_at_once_than_the_settings_allow(service: FakeAPNs) -> None:
    service.answer = "hang"
    async with started(service, concurrency=3) as gateway:
        pushes = asyncio.gather(*(outcome(gateway, n) for n in range(10)))
        for at_once in (3, 3, 3, 1):
            await eventually(lambda at_once=at_once: len(service.hanging) == at_once)  # type: ignore[misc]
            service.release()
        assert set(await pushes) == {Outcome.ACCEPTED}
    assert service.most_hanging == 3


async def test_stopping_ends_what_hangs(service: FakeAPNs, gateway: APNs) -> None:
    service.answer = "hang"
    hanging = asyncio.create_task(outcome(gateway))
    await eventually(lambda: service.hanging)
    await gateway.stop()
    assert await hanging is Outcome.RETRY
    assert len(service.connections) == 1
    await service.connections[0].lost.wait()


# ── no connection ─────────────────────────────────────────────────────────────────────────────────────


async def test_nobody_is_there(service: FakeAPNs) -> None:
    async with started(service, url=f"https://localhost:{free_port()}") as gateway:
        receipt = await gateway.push(numbered())
        assert (receipt.outcome, receipt.reason) == (
            Outcome.UNAVAILABLE,
            "no connection (ConnectionRefusedError)",
        )
        assert "does not answer (ConnectionRefusedError)" in await gateway.trouble()


async def test_a_server_that_is_not_trusted(service: FakeAPNs, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    async with started(service, ca_file=str(stranger.ca_file)) as gateway:
        receipt = await gateway.push(numbered())
        assert (receipt.outcome, receipt.reason) == (Outcome.REFUSED, "no TLS (CERTIFICATE_VERIFY_FAILED)")
        assert "push.apns.ca_file" in await gateway.trouble()
    assert service.requests == []


async def test_a_server_that_asks_for_a_certificate(service: FakeAPNs) -> None:
    context = service.authority.server_context(client_certificates=ssl.CERT_REQUIRED)
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusal = asyncio.create_task(asyncio.to_thread(_shake_hands, listener, context))
        async with FaultProxy(listener.getsockname()[1]) as network:
            network.latency = 0.02  # or the end of the connection overtakes the server's word
            async with started(service, url=network.through(service.url)) as gateway:
                receipt = await gateway.push(numbered())
        await refusal
    assert (receipt.outcome, receipt.reason) == (
        Outcome.REFUSED,
        "no TLS (TLSV13_ALERT_CERTIFICATE_REQUIRED)",
    )


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    """A server that insists on a certificate. asyncio's would hang up without a word."""
    connection, _ = listener.accept()
    with connection, pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        context.wrap_socket(connection, server_side=True)


async def test_a_certificate_is_enough(tmp_path: Path, clock: FakeClock) -> None:
    async with FakeAPNs(tmp_path, clock=clock, client_certificates=ssl.CERT_REQUIRED) as service:
        certificate = str(service.authority.issue("client"))
        changes = {"key_file": "", "key_id": "", "team_id": "", "certificate_file": certificate}
        async with started(service, **changes) as gateway:
            assert await outcome(gateway) is Outcome.ACCEPTED
            assert await gateway.trouble() == ""
    assert "authorization" not in service.requests[0].headers
