"""What becomes of a push by what the push service answers: every row of the table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from pns.contracts.gateway import Outcome, Receipt
from pns.testing import FakeClock
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.webpush import WebPushPeer, device, peer
from tests.harness.push_service import PushService, Subscriber

DEAD, FAILED, REFUSED, RETRY = Outcome.DEVICE_INVALID, Outcome.FAILED, Outcome.REFUSED, Outcome.RETRY
AWAY = Outcome.UNAVAILABLE


@pytest.fixture
async def service(tmp_path: Path, clock: FakeClock) -> AsyncIterator[WebPushPeer]:
    async with peer(tmp_path, clock) as made:
        yield made


async def answered(
    service: WebPushPeer, status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> Receipt:
    service.service.reply = (status, headers or {}, body)
    return await service.gateway.push(push(service.device))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, Outcome.ACCEPTED) for status in (200, 201, 202, 204)),
        *((status, DEAD) for status in (404, 410)),
        *((status, REFUSED) for status in (401, 403)),
        *((status, FAILED) for status in (400, 402, 405, 406, 411, 413, 415, 422, 426, 431)),
        *((status, RETRY) for status in (408, 425, 429)),
        *((status, AWAY) for status in (500, 501, 502, 503, 504, 507, 599)),
        *((status, RETRY) for status in (300, 301, 302, 303, 304, 307, 308, 203, 206)),
    ],
)
async def test_what_a_status_means(service: WebPushPeer, status: int, outcome: Outcome) -> None:
    found = await answered(service, status)
    assert found.outcome is outcome
    assert found.reason == str(status)


@pytest.mark.parametrize(("status", "outcome"), [(429, RETRY), (503, AWAY)])
async def test_when_to_come_back(
    service: WebPushPeer, clock: FakeClock, status: int, outcome: Outcome
) -> None:
    assert (await answered(service, status, {"retry-after": "120"})).retry_after == 120
    later = datetime.fromtimestamp(clock.now() / 1e6 + 90, UTC)
    date = {"retry-after": format_datetime(later, usegmt=True)}
    assert (await answered(service, status, date)).retry_after == pytest.approx(90, abs=1)
    far_east = "Mon, 20 Nov 1995 19:12:08 +99999999999999"
    for nonsense in ("soon", "-5", "1e9", "9" * 40, "", "Thu, 99 Foo 2026 00:00:00 GMT", far_east):
        found = await answered(service, status, {"retry-after": nonsense})
        assert (found.outcome, found.retry_after) == (outcome, None)


async def test_the_service_s_words_are_kept_on_one_line(service: WebPushPeer) -> None:
    body = b'{"errno": 110,\r\n "error": "Bad\x1b[31m Request"}' + b"x" * 10_000
    found = await answered(service, 400, {"content-type": "application/json"}, body)
    assert found.reason.startswith('400 {"errno": 110, "error": "Bad\\x1b[31m Request"}xxx')
    assert len(found.reason) < 300
    assert (await answered(service, 400, {}, b"\xff\xfe")).reason.startswith("400")


@pytest.mark.parametrize("status", [400, 410, 500])
async def test_words_that_repeat_the_endpoint_are_not_kept(service: WebPushPeer, status: int) -> None:
    token = service.device.address.rpartition("/")[2]
    found = await answered(service, status, {}, f"no subscription {token} here".encode())
    assert found.reason == str(status)


FCM_TOKEN = "dQw4w9WgXcQ:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
"""Whoever has what follows the colon can push; the part before it names an installation."""


@pytest.mark.parametrize("begin", ["fcm/send/", "w/?token="])
@pytest.mark.parametrize(
    "told", [FCM_TOKEN[12:], FCM_TOKEN[12:28], FCM_TOKEN[-16:], f"d%3A{FCM_TOKEN[12:]}", "short/parts/of/i"]
)
async def test_words_that_repeat_a_run_of_the_endpoint_are_not_kept(
    service: WebPushPeer, begin: str, told: str
) -> None:
    address = f"{service.service.url}/{begin}{FCM_TOKEN}/short/parts/of/it"
    device = replace(service.device, address=address)

    async def answer(status: int, headers: dict[str, str], body: str) -> Receipt:
        service.service.reply = (status, headers, body.encode())
        return await service.gateway.push(push(device))

    assert (await answer(400, {}, f'{{"to":"{told}"}}')).reason == "400"
    assert (await answer(201, {"location": f"https://push.example/m/{told}"}, "")).provider_id is None
    assert (await answer(400, {}, f"{FCM_TOKEN[-15:]} at /fcm/send")).reason.startswith("400 ")


async def test_the_message_s_own_url_is_kept(service: WebPushPeer) -> None:
    found = await answered(service, 201, {"location": "https://push.example/m/1"})
    assert found.provider_id == "https://push.example/m/1"
    for odd in (service.device.address, "https://push.example/" + "x" * 1000, "https://ä.example", ""):
        assert (await answered(service, 201, {"location": odd})).provider_id is None


async def test_compressed_words_are_left_as_they_are(service: WebPushPeer) -> None:
    found = await answered(service, 500, {"content-encoding": "gzip"}, b"\x1f\x8b\x08")
    assert found.outcome is AWAY


async def test_a_redirect_is_never_followed(service: WebPushPeer, clock: FakeClock) -> None:
    async with PushService(now=lambda: clock.now() / 1e6) as other:
        there = Subscriber(other)
        for status in (301, 302, 303, 307, 308):
            assert (await answered(service, status, {"location": there.endpoint})).outcome is RETRY
        assert other.requests == 0


async def test_a_service_is_a_circuit(service: WebPushPeer, clock: FakeClock) -> None:
    """So trouble of one, which anybody may have brought, stops no other."""
    gateway = service.gateway
    async with PushService() as other:
        theirs = device(Subscriber(other), clock)
        assert gateway.circuit(theirs) == other.url
        assert gateway.circuit(service.device) == service.service.url != other.url
        assert gateway.circuit(device(Subscriber(other), clock)) == other.url
    assert gateway.circuit(replace(theirs, address="https://push.example:443/1")) == "https://push.example"
    assert gateway.circuit(replace(theirs, address="no URL")) != "", "that would be everybody's"


async def test_a_service_that_cannot_be_reached_is_away(service: WebPushPeer, clock: FakeClock) -> None:
    async with PushService() as gone:
        theirs = device(Subscriber(gone), clock)
    assert await service.gateway.push(push(theirs)) == Receipt(AWAY, "not reached (ConnectionRefusedError)")


async def test_a_line_that_is_cut_tells_nothing(service: WebPushPeer) -> None:
    service.service.reply = "reset"
    found = await service.gateway.push(push(service.device))
    assert (found.outcome, found.reason[:11]) == (RETRY, "no answer (")


async def test_a_refusal_of_a_token_that_was_taken_means_one_device(
    service: WebPushPeer, clock: FakeClock
) -> None:
    """Anybody can subscribe with another key than ours. That must not hold up the others at that service."""
    assert (await answered(service, 403)).outcome is REFUSED
    assert (await answered(service, 201)).outcome is Outcome.ACCEPTED
    for status in (401, 403):
        found = await answered(service, status, {}, b"VapidPkHashMismatch")
        assert (found.outcome, found.reason) == (RETRY, f"{status} VapidPkHashMismatch")


async def test_that_one_service_takes_our_token_says_nothing_of_another(
    service: WebPushPeer, clock: FakeClock
) -> None:
    async with PushService() as strict:
        theirs = device(Subscriber(strict), clock)
        strict.reply = (403, {}, b'{"reason": "BadJwtToken"}')
        assert (await answered(service, 201)).outcome is Outcome.ACCEPTED
        assert (await service.gateway.push(push(theirs))).outcome is REFUSED


async def test_each_token_has_to_be_taken(service: WebPushPeer, clock: FakeClock) -> None:
    assert (await answered(service, 201)).outcome is Outcome.ACCEPTED
    clock.advance(7 * 3600)
    assert (await answered(service, 401)).outcome is REFUSED


async def test_a_body_without_end_is_hung_up_on(service: WebPushPeer, clock: FakeClock) -> None:
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                await writer.drain()
        writer.close()
        hung_up.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as endless, asyncio.timeout(10):
        port = endless.sockets[0].getsockname()[1]
        theirs = replace(service.device, address=f"http://127.0.0.1:{port}/push/1")
        found = await service.gateway.push(push(theirs))
        assert (found.outcome, found.reason[:7]) == (AWAY, "500 xxx")
        await hung_up.wait()
