"""The doctor on the way out: the push services of browsers, and the proxy that is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pns.contracts.store import Store
from pns.model.device import Device
from pns.ops.commands.doctor import push as doctor
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.push import SERVICES, check_push
from pns.ops.commands.doctor.way_out import VARIABLES, way_out
from pns.settings import OutboundSettings, PushSettings, Settings, StoreSettings, WebPushSettings
from pns.testing import FakeClock
from tests.harness.connect_proxy import ConnectProxy
from tests.ops.commands.push.test_devices import opened


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def settings_of(tmp_path: Path, proxy: str = "", networks: tuple[str, ...] = ()) -> Settings:
    return Settings(
        store=StoreSettings(url=f"sqlite:///{tmp_path / 'pns.db'}"),
        push=PushSettings(
            webpush=WebPushSettings(subject="mailto:you@example.com", allowed_networks=networks)
        ),
        outbound=OutboundSettings(proxy=proxy),
    )


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    monkeypatch.setattr(doctor, "SystemClock", lambda: clock)
    async with opened(settings_of(tmp_path), clock) as store:
        yield store


async def services(settings: Settings) -> Finding:
    found = [finding async for finding in check_push(settings, url="http://127.0.0.1:1")]
    return next(finding for finding in found if finding.question == SERVICES)


def no_name(host: str, port: int) -> list[str]:
    raise OSError("no name server")


async def test_a_machine_without_a_way_out(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pns.adapters.gateways.webpush.public_line._resolve", no_name)
    found = await services(settings_of(tmp_path))
    assert found.verdict is Verdict.BAD
    assert "none is reached: https://fcm.googleapis.com not (the host could not be looked up)" in found.answer
    assert "set outbound.proxy to its URL" in found.remedy
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:hidden@proxy.internal:3128")
    found = await services(settings_of(tmp_path))
    assert "HTTPS_PROXY names a proxy on this machine" in found.remedy
    assert 'set outbound.proxy = "http://proxy.internal:3128"' in found.remedy
    assert "hidden" not in str(found)


async def test_a_proxy_that_does_not_let_pns_through(tmp_path: Path, store: Store) -> None:
    async with ConnectProxy() as proxy:
        proxy.refuse = 403
        place = proxy.url
        found = await services(settings_of(tmp_path, proxy=place.replace("//", "//ann:hidden@")))
    assert found.verdict is Verdict.BAD
    assert "the proxy of outbound.proxy answered 403" in found.answer
    assert f"by way of {place}, outbound.proxy" in found.remedy
    assert "hidden" not in str(found)


async def test_the_services_of_registered_devices_are_asked(
    tmp_path: Path, store: Store, clock: FakeClock
) -> None:
    device = Device(
        device_id="d1",
        user_id="ann",
        network="webpush",
        gateway="webpush",
        address="https://push.example.org/send/1",
        registered_at=clock.now(),
    )
    await store.outbox.register(device)
    async with ConnectProxy() as proxy:
        proxy.refuse = 403
        await services(settings_of(tmp_path, proxy=proxy.url))
        assert proxy.places == ["push.example.org:443"]


async def test_services_of_one_s_own_are_not_guessed(tmp_path: Path, store: Store) -> None:
    found = await services(settings_of(tmp_path, networks=("127.0.0.0/8",)))
    assert found.verdict is Verdict.NOT_ASKED


async def test_one_that_is_reached_is_enough(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reach(*given: object, **more: object) -> dict[str, str]:
        return {"https://a.example": "", "https://b.example": "not now"}

    monkeypatch.setattr(doctor, "webpush_reach", reach)
    found = await services(settings_of(tmp_path))
    assert found.verdict is Verdict.GOOD
    assert found.answer == "reached: https://a.example, https://b.example not (not now)"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("http://ann:hidden@proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("http://[fd00::1]:3128/", "http://[fd00::1]:3128"),
        ("https://proxy", "https://proxy"),
    ],
)
@pytest.mark.parametrize("name", VARIABLES)
def test_a_proxy_of_the_environment(name: str, value: str, place: str) -> None:
    told = way_out(Settings(), {name: value})
    assert f'set outbound.proxy = "{place}"' in told
    assert name in told


@pytest.mark.parametrize("value", ["", "http://", "http://[::1", "http://proxy:port"])
def test_what_is_no_proxy_is_not_named(value: str) -> None:
    assert "to its URL" in way_out(Settings(), {"HTTPS_PROXY": value})
