"""The adapters that settings name: unknown schemes are refused; gateways, on or half configured, are told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
import pytest

from pns import PNS
from pns.adapters.gateways.webpush.reach import SERVICES
from pns.compose import (
    half_configured,
    make_application_authority,
    make_archive,
    make_bus,
    make_device_authority,
    make_gateways,
    make_store,
    passed_over,
    webpush_reach,
)
from pns.contracts.authority import Credentials
from pns.errors import SettingsError
from pns.ops.commands.arguments import GatewayName
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import (
    AppSettings,
    AuthSettings,
    AzureSettings,
    BusSettings,
    FCMSettings,
    OutboundSettings,
    PushSettings,
    Settings,
    StoreSettings,
    WebPushSettings,
)
from pns.settings.urls import BUS_SCHEMES, STORE_SCHEMES, bus_url, store_url
from pns.testing import FakeClock
from tests.adapters.authorities.issuer import issuing, token
from tests.adapters.gateways.fake_apns import FakeAPNs
from tests.adapters.gateways.fake_google import Google
from tests.adapters.gateways.fake_hub import HUB, FakeHub
from tests.harness import HostApplication, ServerProcess
from tests.harness.connect_proxy import ConnectProxy


def push(name: str, **keys: Any) -> PushSettings:
    return msgspec.convert({name: keys}, PushSettings)


@pytest.mark.parametrize(
    ("name", "keys", "missing"),
    [
        ("azure", {"hub": "shop"}, "push.azure.connection_string"),
        ("apns", {"key_id": "ABCDEFGHIJ"}, "push.apns.key_file or push.apns.certificate_file"),
        ("fcm", {"project": "shop", "concurrency": 5}, "push.fcm.credentials"),
        ("webpush", {"private_key": "x"}, "push.webpush.subject"),
        ("mqtt", {"username": "pns"}, "push.mqtt.url"),
    ],
)
def test_a_gateway_that_is_half_configured(name: str, keys: dict[str, Any], missing: str) -> None:
    (found,) = half_configured(push(name, **keys))
    assert found == (f"push.{name}.{next(iter(keys))}", f"push.{name}", missing)


def test_a_gateway_that_is_set_or_is_not() -> None:
    assert list(half_configured(PushSettings())) == []
    assert set(PushSettings().gateways) == set(get_args(GatewayName))
    for name, section in PushSettings().gateways.items():
        for key in section.switches:
            assert list(half_configured(push(name, concurrency=5, **{key: "x"}))) == []


def test_a_gateway_whose_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpack", None)
    settings = Settings(push=push("apns", key_file="x"))
    clock = SystemClock()
    store = make_store(settings, clock=clock, metrics=Metrics())
    with pytest.raises(SettingsError) as refused:
        make_gateways(settings, store, clock=clock)
    assert str(refused.value) == (
        "push.apns needs the package hpack: install it with `pip install 'pns-server[apns]'`"
    )


async def test_every_gateway_over_http_goes_by_the_proxy(tmp_path: Path, clock: FakeClock) -> None:
    async with (
        ConnectProxy() as proxy,
        Google(clock) as google,
        FakeAPNs(tmp_path, clock=clock) as apple,
        FakeHub(tmp_path, clock) as hub,
    ):
        given = PushSettings(
            fcm=FCMSettings(credentials=str(google.key_file(tmp_path)), url=google.url),
            apns=apple.settings(),
            azure=AzureSettings(connection_string=hub.connection_string, hub=HUB, ca_file=str(hub.ca_file)),
            webpush=WebPushSettings(subject="mailto:you@example.com"),
        )
        settings = Settings(push=given, outbound=OutboundSettings(proxy=proxy.url))
        store = make_store(settings, clock=clock, metrics=Metrics())
        for gateway in make_gateways(settings, store, clock=clock):
            proxy.asked.clear()
            if gateway.name == "webpush":
                proxy.refuse = 403
                assert all((await webpush_reach(settings, (), clock=clock)).values())
                assert set(proxy.places) == {f"{urlsplit(each).netloc}:443" for each in SERVICES}
                continue
            await gateway.start()
            assert await gateway.trouble() == ""
            await gateway.stop()
            assert proxy.asked, gateway.name


async def test_the_issuer_goes_by_the_proxy_and_a_login_never(clock: FakeClock) -> None:
    async with ConnectProxy() as proxy, issuing() as issuer, HostApplication() as application:
        settings = Settings(
            app=AppSettings(oauth2=issuer.settings()),
            auth=AuthSettings(url=application.url),
            outbound=OutboundSettings(proxy=proxy.url),
        )
        await make_application_authority(settings, clock=clock).authorize(token(issuer.claims(clock)))
        assert len(proxy.asked) == 1
        store = make_store(settings, clock=clock, metrics=Metrics())
        store.newest_revocation = no_revocation  # type: ignore[method-assign]
        login = make_device_authority(settings, store, clock=clock, metrics=Metrics())
        await login.start()
        cookie = Credentials(((b"cookie", b"user=alice"),), (), "device-1")
        assert (await login.login(cookie)).user_id == "alice"
        await login.stop()
        assert len(proxy.asked) == 1


async def no_revocation() -> int:
    return 0


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("pns.db", ""),
        ("mysql://host/pns", ", not with mysql://"),
        ("sqlite", ""),
        ("sqlite:pns.db", ""),
        ("postgres://host/pns", ", not with postgres://: here it is postgresql://"),
        ("postgresql+asyncpg://u:p@host/pns", ", not with postgresql+asyncpg://: here it is postgresql://"),
        ("sqlite+aiosqlite:///pns.db", ", not with sqlite+aiosqlite://: here it is sqlite://"),
        ("", ""),
    ],
)
async def test_a_store_of_no_known_scheme_is_refused(url: str, other: str) -> None:
    """Settings that code has made were checked by nobody; the value may hold a password."""
    with pytest.raises(SettingsError) as refused:
        async with PNS(url):
            raise AssertionError("entered")
    assert str(refused.value) == (
        f"store.url must start with sqlite:// or postgresql://{other}; of a file, write sqlite:/// and then "
        "its path"
    )
    with pytest.raises(SettingsError, match=r"^a store's URL must start with sqlite:// or postgresql://"):
        make_archive(url)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("kafka://host", ", not with kafka://"),
        ("redis", ""),
        ("amqp://u:p@host", ", not with amqp://"),
        ("redis+sentinel://host", ", not with redis+sentinel://"),
        ("unix:///run/redis.sock", ", not with unix://"),
        ("valkey://host", ", not with valkey://: here it is redis://"),
        ("tls://host:4222", ", not with tls://"),
        ("", ""),
    ],
)
def test_a_bus_of_no_known_scheme_is_refused(url: str, other: str) -> None:
    settings, clock, metrics = Settings(bus=BusSettings(url=url)), SystemClock(), Metrics()
    store = make_store(settings, clock=clock, metrics=metrics)
    with pytest.raises(SettingsError) as refused:
        make_bus(settings, store, clock=clock, metrics=metrics)
    assert str(refused.value) == (
        f"bus.url must start with local:// or redis:// or rediss:// or nats:// or postgresql://{other}"
    )


def test_compose_knows_the_schemes_that_the_settings_allow() -> None:
    clock, metrics = SystemClock(), Metrics()
    local = make_store(Settings(), clock=clock, metrics=metrics)
    for scheme in STORE_SCHEMES:
        store = StoreSettings(url=store_url(f"{scheme}:///x"))
        assert make_store(Settings(store=store), clock=clock, metrics=metrics)
    for scheme in BUS_SCHEMES:
        bus = BusSettings(url=bus_url(f"{scheme}://h"))
        assert make_bus(Settings(bus=bus), local, clock=clock, metrics=metrics)


def test_what_is_passed_over_is_told_by_its_key() -> None:
    url = "postgresql://h/db?connect_timeout=10&sslmode=require&channel_binding=prefer"
    settings = Settings(store=StoreSettings(url=url), bus=BusSettings(url="redis://h?family=0"))
    assert list(passed_over(settings)) == [
        ("store.url", "channel_binding, connect_timeout"),
        ("bus.url", "family"),
    ]
    assert list(passed_over(Settings())) == []


async def test_the_start_names_the_gateways(application: HostApplication, tmp_path: Path) -> None:
    server = ServerProcess(
        tmp_path,
        auth_url=application.url,
        push__webpush__subject="mailto:you@example.com",
        push__azure__hub="shop",
    )
    async with server:
        lines = server.output.splitlines()
        (ready,) = [line for line in lines if "PNS is ready" in line]
        assert ready.endswith(" push=webpush")
        (warning,) = [line for line in lines if "WARNING" in line]
        assert warning.endswith(
            ": push.azure.hub is set, but push.azure is off: push.azure.connection_string is not set"
        )


async def test_the_start_says_that_push_is_off(server: ServerProcess) -> None:
    (ready,) = [line for line in server.output.splitlines() if "PNS is ready" in line]
    assert ready.endswith(" push=off")
