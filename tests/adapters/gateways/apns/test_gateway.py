"""The gateway to APNs: what it takes, whom it reaches, and what it says about its settings."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pns.adapters.gateways.apns.gateway import APNs
from pns.contracts.gateway import Outcome
from pns.errors import SettingsError
from pns.model.device import Registration
from pns.settings import APNsSettings
from pns.testing import FakeClock
from tests.adapters.gateways.apns_rules import TOPIC, Reply
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.peers import push
from tests.adapters.gateways.peers.apns import TOKEN, device, started

# ── registration ──────────────────────────────────────────────────────────────────────────────────────


def registration(**fields: object) -> Registration:
    return Registration(**{"network": "apns", "token": TOKEN, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["ab" * 32, "AB" * 32, "ab" * 50, "ab" * 100])
async def test_a_token_is_an_address_in_lower_case(gateway: APNs, token: str) -> None:
    assert (await gateway.register(registration(token=token), "d-1")).address == token.lower()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"token": None}, "/token"),
        ({"token": "ab" * 31}, "/token"),
        ({"token": "ab" * 32 + "a"}, "/token"),
        ({"token": "ab" * 101}, "/token"),
        ({"token": "ab" * 32 + "\n"}, "/token"),
        ({"token": f"<{'ab' * 32}>"}, "/token"),
        ({"token": "../" + "ab" * 32}, "/token"),
        ({"token": "٣" * 64}, "/token"),
        ({"token_kind": "fid"}, "/token_kind"),
        ({"app": "com.example.shop\u00e4"}, "/app"),
        ({"app": "com/example"}, "/app"),
    ],
)
async def test_what_may_not_be_registered(gateway: APNs, fields: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        gateway.check(registration(**fields))
    with pytest.raises(ValueError, match=field):
        await gateway.register(registration(**fields), "d-1")


def test_somebody_must_name_the_topic(service: FakeAPNs) -> None:
    gateway = APNs(service.settings(topic=""), clock=service.clock)
    with pytest.raises(ValueError, match="/app"):
        gateway.check(registration())
    gateway.check(registration(app=TOPIC))


# ── whom it reaches ───────────────────────────────────────────────────────────────────────────────────


async def test_the_device_chooses_its_environment(service: FakeAPNs, tmp_path: Path) -> None:
    async with (
        FakeAPNs(tmp_path, clock=service.clock, authority=service.authority) as sandbox,
        started(sandbox, url=service.url, key_file=str(sandbox.key_file)) as gateway,
    ):
        service.answer = Reply(503, "ServiceUnavailable")
        receipt = await gateway.push(push(device(0, environment="sandbox")))
    assert receipt.outcome is Outcome.ACCEPTED
    assert len(sandbox.accepted) == 1
    assert service.requests == []


async def test_production_is_where_the_settings_say(service: FakeAPNs) -> None:
    async with started(service, sandbox_url="https://localhost:1") as gateway:
        assert (await gateway.push(push(device(0)))).outcome is Outcome.ACCEPTED
        away = await gateway.push(push(device(0, environment="sandbox")))
        assert (away.outcome, away.reason) == (Outcome.UNAVAILABLE, "no connection (ConnectionRefusedError)")


async def test_a_devices_app_is_its_topic(service: FakeAPNs) -> None:
    async with started(service, topic="com.example.default") as gateway:
        assert (await gateway.push(push(device(0, app=TOPIC)))).outcome is Outcome.ACCEPTED
        assert (await gateway.push(push(device(0)))).reason == "400 TopicDisallowed"


async def test_the_whole_request(service: FakeAPNs, gateway: APNs) -> None:
    one = push(device(0), '{"title":"Grüße"}')
    await gateway.push(one)
    [sent] = service.accepted
    names = {name for name in sent.headers if not name.startswith((":", "apns-"))}
    assert names <= {"authorization", "content-length"}
    assert sent.path == f"/3/device/{TOKEN}"
    assert sent.headers["apns-id"] == one.push_id
    assert "Grüße".encode() in sent.body
    assert json.loads(sent.body)["aps"]["alert"] == {"title": "Grüße"}


@pytest.mark.parametrize("more", [0, 1])
async def test_the_limit_is_in_bytes(service: FakeAPNs, gateway: APNs, more: int) -> None:
    await gateway.push(push(device(0), ""))
    room = 4096 - len(service.accepted[0].body) - len('"alert":"",')
    text = "ä" * (room // 2) + "x" * (room % 2)
    receipt = await gateway.push(push(device(0), text + "x" * more))
    if more:
        assert (receipt.outcome, receipt.reason) == (Outcome.FAILED, "4097 bytes, and APNs takes 4096")
        assert len(service.requests) == 1
    else:
        assert receipt.outcome is Outcome.ACCEPTED
        assert len(service.accepted[1].body) == 4096


@pytest.mark.parametrize("fields", [{"address": "../../secret"}, {"app": "com.example\nx: y"}])
async def test_a_device_of_another_gateway_cannot_bend_the_request(
    service: FakeAPNs, gateway: APNs, fields: dict[str, str]
) -> None:
    assert (await gateway.push(push(device(0, **fields)))).outcome is Outcome.FAILED
    assert service.requests == []


async def test_nothing_private_is_logged_by_any_library(
    service: FakeAPNs, gateway: APNs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service.script.extend([Reply(503, "ServiceUnavailable"), "reset", Reply()])
    for _ in range(2):
        await gateway.push(push(device(0)))
    assert TOKEN not in caplog.text
    assert "bearer" not in caplog.text


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────


def _key(path: Path, *, password: bytes = b"") -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return str(path)


def _public(path: Path) -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"key_file": ""}, "key_file or certificate_file"),
        ({"certificate_file": "c.pem"}, "not both"),
        ({"key_file": "missing.p8"}, "push.apns.key_file"),
        ({"key_file": "config.toml"}, "push.apns.key_file"),
        ({"key_file": _key}, "push.apns.key_file"),
        ({"key_file": _public}, "push.apns.key_file"),
        ({"key_id": "ABC"}, "push.apns.key_id"),
        ({"key_id": ""}, "push.apns.key_id"),
        ({"team_id": "abc123defg"}, "push.apns.team_id"),
        ({"ca_file": "missing.pem"}, "push.apns.ca_file"),
        ({"url": "http://localhost"}, "push.apns.url"),
        ({"url": ""}, "push.apns.url"),
        ({"sandbox_url": "http://localhost"}, "push.apns.sandbox_url"),
        ({"topic": "my app"}, "push.apns.topic"),
        ({"key_file": "", "certificate_file": "missing.pem"}, "push.apns.certificate_file"),
        ({"key_file": "", "certificate_file": _key}, "push.apns.certificate_file"),
    ],
)
async def test_settings_that_cannot_work(
    service: FakeAPNs, tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    made = {key: value(tmp_path / "made.pem") if callable(value) else value for key, value in changes.items()}
    gateway = APNs(service.settings(**made), clock=service.clock)
    with pytest.raises(SettingsError, match=named):
        await gateway.start()
    await gateway.stop()


async def test_a_certificate_whose_key_asks_for_a_password(service: FakeAPNs, tmp_path: Path) -> None:
    settings = APNsSettings(
        certificate_file=str(service.authority.issue("client")),
        certificate_key_file=_key(tmp_path / "locked.pem", password=b"secret"),
    )
    with pytest.raises(SettingsError, match=r"push\.apns\.certificate_key_file"):
        await APNs(settings, clock=service.clock).start()


async def test_a_certificate_beside_its_key(tmp_path: Path, clock: FakeClock) -> None:
    async with FakeAPNs(tmp_path, clock=clock, client_certificates=ssl.CERT_OPTIONAL) as service:
        key, _, certificate = service.authority.issue("client").read_text().partition("-----BEGIN CERT")
        (tmp_path / "key.pem").write_text(key)
        (tmp_path / "certificate.pem").write_text("-----BEGIN CERT" + certificate)
        files = {
            "certificate_file": str(tmp_path / "certificate.pem"),
            "certificate_key_file": str(tmp_path / "key.pem"),
        }
        async with started(service, key_file="", key_id="", team_id="", **files) as gateway:
            assert (await gateway.push(push(device(0)))).outcome is Outcome.ACCEPTED


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────


async def test_no_trouble(service: FakeAPNs, gateway: APNs) -> None:
    assert await gateway.trouble() == ""
    assert [sent.path for sent in service.requests] == ["/3/device/00"]
    assert service.accepted == []


async def test_no_trouble_where_devices_name_their_apps(service: FakeAPNs) -> None:
    async with started(service, topic="") as gateway:
        assert await gateway.trouble() == ""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"key_id": "OTHERKEYID"}, "APNs answers 403 InvalidProviderToken: check push.apns.key_file"),
        ({"topic": "com.example.other"}, "APNs answers 400 TopicDisallowed: set push.apns.topic"),
    ],
)
async def test_what_an_operator_must_do(service: FakeAPNs, changes: dict[str, str], sentence: str) -> None:
    async with started(service, **changes) as gateway:
        found = await gateway.trouble()
    assert found.startswith(sentence)
    assert found.endswith(".")


async def test_a_proxy_that_speaks_no_http2(service: FakeAPNs) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"content-available")
        writer.write(b'HTTP/1.1 400 Bad Request\r\ncontent-length: 27\r\n\r\n{"reason":"BadDeviceToken"}')
        await writer.drain()
        writer.close()

    context = service.authority.server_context()
    async with await asyncio.start_server(answer, "127.0.0.1", ssl=context) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with started(service, url=url) as gateway:
            assert "does not speak HTTP/2" in await gateway.trouble()
