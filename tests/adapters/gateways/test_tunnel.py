"""By way of a proxy: what goes there, what never does, and that no password is ever told."""

from __future__ import annotations

import base64
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pns.adapters.authorities.oauth2 import OAuth2
from pns.adapters.gateways.apns.gateway import APNs
from pns.adapters.gateways.azure.gateway import Azure
from pns.adapters.gateways.endpoint import NOT_PUBLIC
from pns.adapters.gateways.fcm.gateway import FCM
from pns.adapters.gateways.webpush.gateway import WebPush
from pns.adapters.gateways.webpush.vapid import new_private_key
from pns.contracts.gateway import Gateway, Outcome
from pns.errors import AuthUnavailable
from pns.model.device import Device
from pns.runtime.proxy import Proxy
from pns.settings import AzureSettings, FCMSettings, WebPushSettings
from pns.settings.proxy_url import proxy as proxy_at
from pns.testing import FakeClock
from tests.adapters.authorities.issuer import issuing, token
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.fake_google import Google
from tests.adapters.gateways.fake_hub import HUB, FakeHub
from tests.adapters.gateways.peers import apns, azure, fcm, push, webpush
from tests.harness.certificate import self_signed
from tests.harness.connect_proxy import ConnectProxy
from tests.harness.push_service import PushService, Subscriber

NAME = "push.example"
LOGIN = f"Basic {base64.b64encode(b'pns:p@ss/w#rd').decode()}"


def not_found(*asked: Any, **options: Any) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def with_login(proxy: ConnectProxy) -> Proxy:
    host, port = proxy.place.split(":")
    return Proxy("http", host, int(port), "pns", "p@ss/w#rd")


@asynccontextmanager
async def running(made: Gateway) -> AsyncIterator[Gateway]:
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


# ── what goes there ───────────────────────────────────────────────────────────────────────────────────────


async def accepted(made: Gateway, device: Device) -> None:
    async with running(made) as gateway:
        receipt = await gateway.push(push(device))
        assert receipt.outcome is Outcome.ACCEPTED, receipt
        assert await gateway.trouble() == ""


async def test_fcm_and_its_access_tokens(tmp_path: Path, clock: FakeClock) -> None:
    async with Google(clock) as google, ConnectProxy() as proxy:
        settings = FCMSettings(credentials=str(google.key_file(tmp_path)), url=google.url)
        await accepted(FCM(settings, clock=clock, proxy=with_login(proxy)), fcm.device(clock))
        assert len(google.sent) == 1
    assert len(proxy.asked) >= 2, "for the token, and for pushes"
    assert {asked.login for asked in proxy.asked} == {LOGIN}


async def test_apns(tmp_path: Path, clock: FakeClock) -> None:
    async with FakeAPNs(tmp_path, clock=clock) as service, ConnectProxy() as proxy:
        made = APNs(service.settings(), clock=clock, proxy=with_login(proxy))
        await accepted(made, apns.device(clock.now()))
    assert {(asked.method, asked.login) for asked in proxy.asked} == {("CONNECT", LOGIN)}


async def test_azure(tmp_path: Path, clock: FakeClock) -> None:
    async with FakeHub(tmp_path, clock) as hub, ConnectProxy() as proxy:
        settings = AzureSettings(connection_string=hub.connection_string, hub=HUB, ca_file=str(hub.ca_file))
        await accepted(Azure(settings, clock=clock, proxy=with_login(proxy)), azure.device(clock))
    assert {(asked.method, asked.login) for asked in proxy.asked} == {("CONNECT", LOGIN)}


async def test_the_issuer_of_access_tokens(clock: FakeClock) -> None:
    async with issuing() as issuer, ConnectProxy() as proxy:
        settings = issuer.settings(jwks_url="")
        await OAuth2(settings, clock=clock, proxy=with_login(proxy)).authorize(token(issuer.claims(clock)))
    assert len(proxy.asked) == 1, "one line"
    assert len(issuer.backend.asked) == 2, "the metadata and the keys"
    assert {asked.login for asked in proxy.asked} == {LOGIN}
    for asked in issuer.backend.asked:
        assert b"proxy-authorization" not in {name.lower() for name, _ in asked.headers}


# ── the endpoints of browsers ─────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def a_browser(
    tmp_path: Path, clock: FakeClock, *, networks: tuple[str, ...] = (), refuse: int = 0
) -> AsyncIterator[tuple[WebPush, Subscriber, ConnectProxy]]:
    """A push service that only the proxy knows, by name."""
    context, file = self_signed(tmp_path, NAME)
    key = new_private_key()

    async def kept() -> str:
        return key

    settings = WebPushSettings(subject=webpush.SUBJECT, ca_file=str(file), allowed_networks=networks)
    async with (
        PushService(now=lambda: clock.now() / 1e6, host=NAME, tls=context, usual_port=True) as service,
        ConnectProxy() as proxy,
    ):
        subscriber = Subscriber(service)
        proxy.names, proxy.refuse = {f"{NAME}:443": service.port}, refuse
        made = WebPush(settings, clock=clock, private_key=kept, proxy=with_login(proxy))
        async with running(made):
            yield made, subscriber, proxy


async def test_a_machine_without_outward_names(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", not_found)
    async with a_browser(tmp_path, clock) as (gateway, subscriber, proxy):
        kept = await gateway.register(webpush.registration(subscriber), "d1")
        receipt = await gateway.push(push(webpush.device_at(kept, clock)))
        assert receipt.outcome is Outcome.ACCEPTED, receipt
        assert proxy.asked == [("CONNECT", f"{NAME}:443", LOGIN)]
        assert len(subscriber.messages) == 1


@pytest.mark.parametrize(
    "answers", [["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], ["::1"], ["8.8.8.8", "10.0.0.1"]]
)
async def test_a_name_that_is_known_here_must_be_public(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", lambda *_: answers)
    async with a_browser(tmp_path, clock) as (gateway, subscriber, proxy):
        receipt = await gateway.push(push(webpush.device(subscriber, clock)))
        assert (receipt.outcome, receipt.reason) == (Outcome.FAILED, f"the endpoint {NOT_PUBLIC}")
        assert proxy.asked == []


async def test_a_public_name_that_is_known_here(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", lambda *_: ["8.8.8.8"])
    async with a_browser(tmp_path, clock) as (gateway, subscriber, proxy):
        receipt = await gateway.push(push(webpush.device(subscriber, clock)))
        assert receipt.outcome is Outcome.ACCEPTED, receipt
        assert proxy.places == [f"{NAME}:443"], "as proxies want it; the certificate proves the host"


@pytest.mark.parametrize(
    "endpoint",
    [
        *("https://127.0.0.1/1", "https://[::1]/1", "https://10.0.0.1/1", "https://169.254.169.254/latest"),
        *("https://2130706433/1", "https://127.1/1", "https://0x7f.1/1"),
        *("https://localhost/1", "https://intranet/1", "https://wiki.corp/1", "https://a.b.internal/1"),
        *("https://printer.local/1", "https://nas.home.arpa/1", "https://router.lan./1"),
        *(f"https://{NAME}:8443/1", f"http://{NAME}/1"),
        *("https://a..example/1", f"https://{'x' * 64}.example/1"),
    ],
)
@pytest.mark.parametrize("networks", [(), ("10.9.0.0/16",)])
async def test_what_the_proxy_is_never_asked_for(
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    endpoint: str,
    networks: tuple[str, ...],
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", not_found)
    async with a_browser(tmp_path, clock, networks=networks) as (gateway, subscriber, proxy):
        subscriber.endpoint = endpoint
        with pytest.raises(ValueError, match="must be an https URL") as caught:
            await gateway.register(webpush.registration(subscriber), "d1")
        assert caught.value.args == ("/subscription/endpoint", NOT_PUBLIC)
        receipt = await gateway.push(push(webpush.device(subscriber, clock)))
        assert receipt.outcome is Outcome.FAILED, receipt
        assert proxy.asked == []


async def test_nobody_learns_which_names_are_known_inside(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration is answered the same, and looks nothing up."""
    asked: list[str] = []
    names: list[Callable[[], list[str]]] = [not_found, lambda: ["10.0.0.1"], lambda: ["8.8.8.8"]]
    async with a_browser(tmp_path, clock) as (gateway, subscriber, _):
        for answer in names:

            def resolve(host: str, port: int, answer: Callable[[], list[str]] = answer) -> list[str]:
                asked.append(host)
                return answer()

            monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", resolve)
            kept = await gateway.register(webpush.registration(subscriber), "d1")
            assert kept.address == subscriber.endpoint
    assert asked == []


async def test_a_stranger_s_name_that_leads_inside_gets_no_request(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy looks the name up elsewhere: the certificate is the name's, or nothing is sent."""
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", not_found)
    async with a_browser(tmp_path, clock) as (gateway, subscriber, proxy):
        proxy.names["evil.example.net:443"] = proxy.names[f"{NAME}:443"]
        subscriber.endpoint = subscriber.endpoint.replace(NAME, "evil.example.net")
        receipt = await gateway.push(push(webpush.device(subscriber, clock)))
        assert receipt.outcome is Outcome.UNAVAILABLE, receipt
        assert (proxy.places, subscriber.messages) == (["evil.example.net:443"], [])


# ── a proxy in trouble ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (407, "the proxy of outbound.proxy answered 407: put the proxy's user and password into outbound"),
        (403, "the proxy of outbound.proxy answered 403: let the proxy pass PNS on to this host and port"),
        (502, "the proxy of outbound.proxy answered 502"),
    ],
)
async def test_a_proxy_that_refuses(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *, status: int, words: str
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", not_found)
    async with a_browser(tmp_path, clock, refuse=status) as (gateway, subscriber, proxy):
        receipt = await gateway.push(push(webpush.device(subscriber, clock)))
        assert receipt.outcome is Outcome.UNAVAILABLE
        assert words in receipt.reason
        async with (
            FakeAPNs(tmp_path, clock=clock) as service,
            running(APNs(service.settings(), clock=clock, proxy=with_login(proxy))) as other,
        ):
            assert words in await other.trouble()
            assert words in (await other.push(push(apns.device(clock.now())))).reason
        async with FakeHub(tmp_path, clock) as hub:
            settings = AzureSettings(
                connection_string=hub.connection_string, hub=HUB, ca_file=str(hub.ca_file)
            )
            async with running(Azure(settings, clock=clock, proxy=with_login(proxy))) as other:
                assert words in await other.trouble()
                assert words in (await other.push(push(azure.device(clock)))).reason


async def test_a_refusal_of_the_proxy_whose_body_never_comes(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", not_found)
    async with a_browser(tmp_path, clock, refuse=407) as (gateway, subscriber, proxy):
        proxy.cut = True
        receipt = await gateway.push(push(webpush.device(subscriber, clock)))
        assert "the proxy of outbound.proxy answered 407" in receipt.reason


async def test_a_proxy_that_is_away(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = Proxy("http", "127.0.0.1", 1, "pns", "hidden-password")
    async with (
        FakeAPNs(tmp_path, clock=clock) as service,
        running(APNs(service.settings(), clock=clock, proxy=nobody)) as gateway,
    ):
        told = await gateway.trouble()
    assert "the proxy of outbound.proxy cannot be reached (ConnectionRefusedError)" in told
    async with issuing() as issuer:
        with suppress(AuthUnavailable):
            await OAuth2(issuer.settings(), clock=clock, proxy=nobody).authorize(token(issuer.claims(clock)))
    assert "the keys of the OAuth2 issuer could not be fetched" in caplog.text
    assert "hidden-password" not in told + caplog.text + repr(nobody) + str(nobody)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://proxy.internal:3128", "http://proxy.internal:3128"),
        ("http://user:p%40ss@proxy.internal:3128/", "http://proxy.internal:3128"),
        ("https://proxy.internal", "https://proxy.internal:443"),
        ("http://[fd00::1]:8080", "http://[fd00::1]:8080"),
        ("http://user@10.0.0.7", "http://10.0.0.7:80"),
    ],
)
def test_the_place_of_a_proxy(url: str, place: str) -> None:
    found = Proxy(*proxy_at(url))
    assert str(found) == place
    assert "p@ss" not in repr(found)
