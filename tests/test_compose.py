"""The adapters that settings name: unknown schemes are refused; gateways, on or half configured, are told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from pns import PNS
from pns.compose import (
    BUS_SCHEMES,
    STORE_SCHEMES,
    half_configured,
    make_archive,
    make_bus,
    make_gateways,
    make_store,
)
from pns.errors import SettingsError
from pns.ops.commands.arguments import GatewayName
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import BusSettings, PushSettings, Settings, StoreSettings
from tests.harness import HostApplication, ServerProcess


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
    monkeypatch.setitem(sys.modules, "h2", None)
    settings = Settings(push=push("apns", key_file="x"))
    clock = SystemClock()
    store = make_store(settings, clock=clock, metrics=Metrics())
    with pytest.raises(SettingsError) as refused:
        make_gateways(settings, store, clock=clock)
    assert str(refused.value) == (
        "push.apns needs the package h2: install it with `pip install '.[apns]'` in the folder that PNS was "
        "installed from"
    )


@pytest.mark.parametrize("url", ["pns.db", "mysql://host/pns", "sqlite", "postgres://host/pns", ""])
async def test_a_store_of_no_known_scheme_is_refused(url: str) -> None:
    """Settings that code has made were checked by nobody; the value may hold a password."""
    with pytest.raises(SettingsError) as refused:
        async with PNS(url):
            raise AssertionError("entered")
    assert str(refused.value) == (
        "store.url must start with sqlite:// or postgresql://; of a file, write sqlite:/// and then its path"
    )
    with pytest.raises(SettingsError, match=r"^a store's URL must start with sqlite:// or postgresql://"):
        make_archive(url)


@pytest.mark.parametrize("url", ["kafka://host", "redis", "amqp://host", ""])
def test_a_bus_of_no_known_scheme_is_refused(url: str) -> None:
    settings, clock, metrics = Settings(bus=BusSettings(url=url)), SystemClock(), Metrics()
    store = make_store(settings, clock=clock, metrics=metrics)
    with pytest.raises(SettingsError) as refused:
        make_bus(settings, store, clock=clock, metrics=metrics)
    assert str(refused.value) == (
        "bus.url must start with local:// or redis:// or rediss:// or nats:// or postgresql://"
    )


def test_compose_knows_the_schemes_that_the_settings_allow() -> None:
    for kind, schemes in ((StoreSettings, STORE_SCHEMES), (BusSettings, BUS_SCHEMES)):
        (field,) = msgspec.structs.fields(kind)
        for constraint in (meta.extra["constraint"] for meta in field.type.__metadata__):
            assert [constraint(f"{scheme}://") for scheme in schemes]
            with pytest.raises(ValueError, match="must start with") as refused:
                constraint("")
            assert str(refused.value) == f"must start with {' or '.join(f'{each}://' for each in schemes)}"


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
