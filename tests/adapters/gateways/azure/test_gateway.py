"""The gateway to Azure Notification Hubs: who may register, what is sent, and what its answers mean."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from pns.adapters.gateways.azure import gateway as azure_gateway
from pns.adapters.gateways.azure.gateway import Azure
from pns.contracts.gateway import Outcome, Receipt
from pns.errors import SettingsError
from pns.model.device import Registration, Subscription, SubscriptionKeys
from pns.model.push import APNsControls, PushControls
from pns.settings import AzureSettings
from pns.testing import FakeClock
from tests.adapters.gateways.fake_hub import HUB, KEY, FakeHub, Reply, Says, error
from tests.adapters.gateways.peers import make_peer, push
from tests.adapters.gateways.peers.apns import APNsPeer
from tests.adapters.gateways.peers.azure import APNS_TOKEN, FCM_TOKEN, device, gateway

CONNECTION = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=P;SharedAccessKey=secret-word"
SUBSCRIPTION = Subscription("https://push.example.com/1", SubscriptionKeys("p", "a"))


@pytest.fixture
async def hub(tmp_path: Path, clock: FakeClock) -> AsyncIterator[FakeHub]:
    async with FakeHub(tmp_path, clock) as hub:
        yield hub


@pytest.fixture
async def azure(hub: FakeHub, clock: FakeClock) -> AsyncIterator[Azure]:
    async with gateway(clock, hub) as azure:
        yield azure


# ── settings and registrations ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("key", "value"),
    [("connection_string", "secret-word"), ("hub", ""), ("ca_file", "/nowhere/secret-word.pem")],
)
async def test_settings_that_cannot_work(clock: FakeClock, key: str, value: str) -> None:
    fields: dict[str, Any] = {"connection_string": CONNECTION, "hub": HUB, key: value}
    settings = AzureSettings(**fields)
    with pytest.raises(SettingsError, match=rf"^push\.azure\.{key} ") as refused:
        await Azure(settings, clock=clock).start()
    assert "secret-word" not in str(refused.value)


def test_it_takes_the_networks_that_it_is_set_for(clock: FakeClock) -> None:
    assert Azure(AzureSettings(), clock=clock).networks == {"fcm", "apns"}
    assert Azure(AzureSettings(networks=("fcm",)), clock=clock).networks == {"fcm"}


@pytest.mark.parametrize(
    ("registration", "field"),
    [
        (Registration(network="apns"), "/token"),
        (Registration(network="apns", token="no hexadecimal digits"), "/token"),
        (Registration(network="apns", token=APNS_TOKEN[:-1]), "/token"),
        (Registration(network="apns", token=APNS_TOKEN, app="no bundle id"), "/app"),
        (Registration(network="fcm", token="two\nlines"), "/token"),
        (Registration(network="fcm", token="tökén"), "/token"),
        (Registration(network="fcm", token=FCM_TOKEN, token_kind="fid"), "/token_kind"),
        (Registration(network="fcm", subscription=SUBSCRIPTION), "/subscription"),
    ],
)
async def test_what_cannot_be_registered(azure: Azure, registration: Registration, field: str) -> None:
    with pytest.raises(ValueError, match="must") as refused:
        await azure.register(registration, "d1")
    assert refused.value.args[0] == field


def test_it_needs_no_extra() -> None:
    """Who goes through a hub needs neither Google's library nor HTTP/2."""
    absent = "import sys; sys.modules.update(dict.fromkeys(['google', 'h2', 'paho']))"
    command = [sys.executable, "-c", f"{absent}; import pns.adapters.gateways.azure.gateway"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


# ── the same push, either way ─────────────────────────────────────────────────────────────────────────

FIELDS: dict[str, Any] = {
    "category": "orders",
    "collapse_key": "order-1",
    "controls": PushControls(data={"room": 7}, apns=APNsControls(priority=5, ttl_seconds=60)),
}


@pytest.mark.parametrize("network", ["fcm", "apns"])
async def test_either_gateway_keeps_the_same_address(
    azure: Azure, clock: FakeClock, tmp_path: Path, network: str
) -> None:
    """So that devices can be moved from one to the other, and nobody is registered twice."""
    async with make_peer(network, tmp_path, clock) as direct:
        registration = replace(direct.registration, token=_shouted(direct.registration))
        kept = [await each.register(registration, "d1") for each in (azure, direct.gateway)]
        assert kept[0].address == kept[1].address


def _shouted(registration: Registration) -> str:
    """A token as some apps write it; case tells tokens of FCM apart, not those of APNs."""
    token = registration.token or ""
    return token.upper() if registration.network == "apns" else token


async def test_fcm_is_asked_the_same_by_the_hub(
    azure: Azure, hub: FakeHub, clock: FakeClock, tmp_path: Path
) -> None:
    async with make_peer("fcm", tmp_path, clock) as fcm:
        await fcm.gateway.push(push(fcm.device, **FIELDS))
        assert (await azure.push(push(fcm.device, **FIELDS))).outcome is Outcome.ACCEPTED
        (direct,) = fcm.taken
    (request,) = hub.taken
    assert request.headers["servicebusnotification-format"] == "fcmv1"
    assert request.headers["servicebusnotification-devicehandle"] == fcm.device.address
    assert request.json == {"message": {name: told for name, told in direct.items() if name != "token"}}


async def test_apns_is_asked_the_same_by_the_hub(
    azure: Azure, hub: FakeHub, clock: FakeClock, tmp_path: Path
) -> None:
    async with make_peer("apns", tmp_path, clock) as peer:
        apns = cast(APNsPeer, peer)
        sent = push(replace(apns.device, app=apns.service.settings().topic), **FIELDS)
        assert (await apns.gateway.push(sent)).outcome is Outcome.ACCEPTED
        assert (await azure.push(sent)).outcome is Outcome.ACCEPTED
        (direct,) = apns.service.accepted
    (request,) = hub.taken
    assert request.headers["servicebusnotification-format"] == "apple"
    assert request.headers["servicebusnotification-devicehandle"] == apns.device.address
    assert request.body == direct.body
    assert _of_apple(request.headers) == _of_apple(direct.headers)


def _of_apple(headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in headers.items() if name.startswith("apns-")}
    assert {"apns-id", "apns-topic", "apns-priority", "apns-expiration"} <= found.keys()
    return found


# ── what is never sent ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("network", "token"), [("apns", APNS_TOKEN), ("fcm", FCM_TOKEN)])
async def test_the_limit_is_that_of_the_network(
    azure: Azure, hub: FakeHub, clock: FakeClock, network: str, token: str
) -> None:
    """Azure takes 64 KiB, FCM and APNs do not."""
    receipt = await azure.push(push(device(clock, network=network, address=token), "ä" * 2100))
    assert receipt.outcome is Outcome.FAILED
    assert "bytes" in receipt.reason
    assert hub.requests == []


async def test_an_installation_id_is_not_taken_for_a_token(
    azure: Azure, hub: FakeHub, clock: FakeClock
) -> None:
    """Firebase knows it, and a hub does not: it would take the push and lose it."""
    receipt = await azure.push(push(device(clock, network="fcm", address="an-id", keys={"kind": "fid"})))
    assert receipt.outcome is Outcome.FAILED
    assert hub.requests == []


@pytest.mark.parametrize("fields", [{"address": "tökén"}, {"address": "a\r\nb: c"}, {"app": "Ladén"}])
async def test_what_cannot_stand_in_a_header(
    azure: Azure, hub: FakeHub, clock: FakeClock, fields: dict[str, str]
) -> None:
    """A device that another gateway let in must not stop those behind it."""
    receipt = await azure.push(push(device(clock, **fields)))
    assert receipt.outcome is Outcome.FAILED
    assert hub.requests == []


# ── what an answer means ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (error(400, "The handle is not valid"), Outcome.FAILED, "400 The handle is not valid"),
        (error(401, "ExpiredToken: it is"), Outcome.REFUSED, "401 ExpiredToken: it is"),
        (error(403, "Quota exceeded"), Outcome.REFUSED, "403 Quota exceeded"),
        (error(404, "There is no hub"), Outcome.REFUSED, "404 There is no hub"),
        (error(410, "It is gone"), Outcome.DEVICE_INVALID, "410 It is gone"),
        (error(413, "Too large"), Outcome.FAILED, "413 Too large"),
        (error(429, "Slow down"), Outcome.UNAVAILABLE, "429 Slow down"),
        (error(500, "A &lt;fault&gt;"), Outcome.UNAVAILABLE, "500 A <fault>"),
        (error(400, f"No handle {APNS_TOKEN} here"), Outcome.FAILED, "400 No handle … here"),
        (Reply(503, {}, b"<html>busy</html>"), Outcome.UNAVAILABLE, "503"),
        (Reply(200, {}, b"a proxy's own page"), Outcome.UNAVAILABLE, "200"),
    ],
)
async def test_an_answer(
    azure: Azure, hub: FakeHub, clock: FakeClock, said: Says, outcome: Outcome, reason: str
) -> None:
    hub.says = said
    receipt = await azure.push(push(device(clock)))
    assert (receipt.outcome, receipt.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("headers", "provider_id"),
    [
        ({"location": "https://shop/hub/messages/n-7?api-version=2020-06", "trackingid": "t-1"}, "n-7"),
        ({"location": "https://shop/hub", "trackingid": "t-1"}, "t-1"),
        ({"trackingid": "t-1"}, "t-1"),
        ({}, None),
    ],
)
async def test_how_azure_calls_it(
    azure: Azure, hub: FakeHub, clock: FakeClock, headers: dict[str, str], provider_id: str | None
) -> None:
    """It was accepted, by Azure; nobody says that it was delivered."""
    hub.says = Reply(201, headers)
    assert await azure.push(push(device(clock))) == Receipt(Outcome.ACCEPTED, provider_id=provider_id)


async def test_a_signature_that_has_ended_is_made_anew(azure: Azure, hub: FakeHub, clock: FakeClock) -> None:
    """Azure's clock may be ahead of ours, or the key may have been used up."""
    await azure.push(push(device(clock)))
    clock.advance(60)
    hub.says = error(401, "ExpiredToken: The token is expired.")
    first, second = await _signatures(azure, hub, clock)
    assert first != second
    hub.says = "take"
    assert (await azure.push(push(device(clock)))).outcome is Outcome.ACCEPTED


async def _signatures(azure: Azure, hub: FakeHub, clock: FakeClock) -> list[str]:
    """Of the requests that one push makes."""
    before = len(hub.requests)
    await azure.push(push(device(clock)))
    return [request.headers["authorization"] for request in hub.requests[before:]]


async def test_a_wrong_key_is_tried_twice_and_no_more(hub: FakeHub, clock: FakeClock) -> None:
    wrong = hub.connection_string.replace(KEY, "wrong")
    async with gateway(clock, hub, connection_string=wrong) as azure:
        receipt = await azure.push(push(device(clock)))
    assert receipt.outcome is Outcome.REFUSED
    assert receipt.reason == "401 InvalidSignature: The token has an invalid signature"
    assert len(hub.requests) == 2


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_look_at_the_hub_pushes_nothing(azure: Azure, hub: FakeHub) -> None:
    assert await azure.trouble() == ""
    assert [request.method for request in hub.requests] == ["GET"]
    assert hub.taken == []


async def test_a_policy_that_may_only_send_is_enough(azure: Azure, hub: FakeHub, clock: FakeClock) -> None:
    hub.claims = {"Send"}
    assert await azure.trouble() == ""
    assert (await azure.push(push(device(clock)))).outcome is Outcome.ACCEPTED


async def test_what_is_in_the_way(hub: FakeHub, clock: FakeClock) -> None:
    for settings, said in (
        ({"hub": "elsewhere"}, "answers 404 No service .* is push.azure.hub the name of a hub there"),
        ({"connection_string": hub.connection_string.replace(KEY, "wrong")}, "answers 401 InvalidSignature"),
        ({"connection_string": CONNECTION.replace("shop.servicebus.windows.net", "localhost:1")}, "Refused"),
        ({"ca_file": ""}, "does not answer .SSLCertVerificationError"),
    ):
        async with gateway(clock, hub, **settings) as azure:
            assert re.search(said, found := await azure.trouble()), found
            assert "wrong" not in found
            assert "secret-word" not in found


async def test_an_azure_that_says_nothing(
    azure: Azure, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_gateway, "TRIAL_SECONDS", 0.1)
    hub.says = "hang"
    assert await azure.trouble() == "Azure Notification Hubs does not answer (TimeoutError)"
