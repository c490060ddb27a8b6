"""The doctor against deployments that are well, and against each that is ill in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pns.adapters.buses.redis import RedisWire
from pns.ops.commands.doctor import examine
from pns.ops.commands.doctor.application import check_application
from pns.ops.commands.doctor.broker import check_bus
from pns.ops.commands.doctor.database import check_database
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.settings import AuthSettings, BusSettings, Settings, StoreSettings
from tests.harness import HostApplication, ServerProcess
from tests.harness.application import Reply, by_cookie
from tests.harness.redis import Redis

PG = "postgresql://ann:hidden@127.0.0.1:1/pns"


async def _findings(application: HostApplication, **login: str) -> list[Finding]:
    settings = Settings(auth=AuthSettings(url=application.url, timeout_seconds=0.3))
    return [finding async for finding in check_application(settings, login)]


ILL: dict[str, tuple[Reply, str]] = {
    "csrf": ((403, b"CSRF token missing"), "CSRF"),
    "login page": ((302, b""), "redirects"),
    "wrong path": ((404, b""), "auth.url"),
    "wrong method": ((405, b""), "auth.method"),
    "broken": ((500, b""), "log"),
    "html": ((200, b"<html>"), "user_id"),
    "no user": ((200, b"{}"), "user_id"),
    "bad user": ((200, b'{"user_id": true}'), "user_id"),
    "anybody": ((200, b'{"user_id": "guest"}'), "401"),
}


@pytest.mark.parametrize("case", ILL)
async def test_an_application_that_is_ill_gets_its_own_remedy(case: str) -> None:
    reply, word = ILL[case]
    async with HostApplication(lambda asked: reply) as application:
        without, *_ = await _findings(application)
    assert without.verdict is Verdict.BAD
    assert word in without.answer + without.remedy


async def test_a_byte_order_mark_is_passed_over() -> None:
    async with HostApplication(lambda asked: (200, b'\xef\xbb\xbf{"user_id": "alice"}')) as application:
        _, given = await _findings(application, cookie="user=alice")
    assert (given.verdict, given.answer) == (Verdict.GOOD, "200, user 'alice'")


async def test_the_application_is_asked_as_a_node_asks() -> None:
    async with HostApplication() as application:
        settings = Settings(auth=AuthSettings(url=application.url, timeout_seconds=5))
        async for _ in check_application(settings, {"cookie": "user=ann"}, url="https://app.example/pns"):
            pass
        without, given = application.asked
    assert given.keys() - without.keys() == {"cookie"}
    for asked in (without, given):
        assert asked["x-pns-question"] == "login"
        assert asked["x-pns-host"] == "app.example"
        assert asked["x-forwarded-proto"] == "https"
        assert asked["x-pns-device-id"]
        assert asked["x-forwarded-for"]


async def test_a_slow_or_absent_application() -> None:
    async with HostApplication() as application:
        application.delay = 2
        slow, *_ = await _findings(application)
        assert "within" in slow.answer
    (gone, *_) = await _findings_at("http://127.0.0.1:1/")
    assert "cannot be reached" in gone.answer


async def _findings_at(url: str) -> list[Finding]:
    settings = Settings(auth=AuthSettings(url=url))
    return [finding async for finding in check_application(settings, {})]


async def test_a_stale_cookie() -> None:
    async with HostApplication(lambda asked: (401, b"")) as application:
        without, with_cookie = await _findings(application, cookie="user=alice")
    assert (without.verdict, with_cookie.verdict) == (Verdict.GOOD, Verdict.BAD)
    assert "log in again" in with_cookie.remedy


async def test_a_deployment_that_is_well(
    application: HostApplication, server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = _settings(server)
    code = await examine(settings, url=server.url, cookies=["user=alice"], origin=server.url)
    report = capsys.readouterr().out
    assert code == 0, report
    assert "a notification arrives: count 1" in report
    assert "the device cookie comes back: Path=/, and PNS knows it again" in report
    assert "synchronous FULL" in report
    assert "0 with a bad answer, 0 not asked" in report
    async with server.backend() as backend:
        assert (await backend.user("alice"))["unseen"] == 0, "the doctor's notification was withdrawn"


async def test_a_foreign_origin_and_a_missing_cookie_are_told(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await examine(_settings(server), url=server.url, cookies=[], origin="https://evil.example")
    report = capsys.readouterr().out
    assert code == 1
    assert "https://evil.example is refused" in report
    assert "server.allowed_origins" in report
    assert report.count("not asked\n") == 4


async def test_a_bus_that_carries() -> None:
    async with Redis() as redis:
        assert (await _bus(redis.url)).verdict is Verdict.GOOD


@pytest.mark.parametrize("url", ["redis://ann:hidden@127.0.0.1:1", "nats://ann:hidden@127.0.0.1:1", PG])
async def test_a_bus_that_is_away(url: str) -> None:
    found = await _bus(url)
    assert found.verdict is Verdict.BAD
    assert "refused" in found.answer or "Connect call failed" in found.answer or "no servers" in found.answer
    assert "bus.url" in found.remedy
    assert "hidden" not in found.answer


async def test_a_bus_that_answers_and_carries_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish(self: RedisWire, messages: object) -> None:
        """Nowhere."""

    monkeypatch.setattr(RedisWire, "publish", publish)
    monkeypatch.setattr("pns.ops.commands.doctor.broker.SECONDS", 0.3)
    async with Redis() as redis:
        assert "nothing came back" in (await _bus(redis.url)).answer


async def test_no_bus() -> None:
    one = await _bus("local://")
    several = await _bus("local://", store=StoreSettings(url=PG))
    assert one.verdict is several.verdict is Verdict.GOOD
    assert "heartbeats" in several.answer


async def _bus(url: str, **settings: Any) -> Finding:
    (only,) = [finding async for finding in check_bus(Settings(bus=BusSettings(url=url), **settings))]
    return only


@pytest.mark.parametrize("url", [PG, "postgresql://127.0.0.1:1/pns?user=ann&password=hidden"])
async def test_a_store_whose_server_is_away(url: str) -> None:
    (only,) = [finding async for finding in check_database(Settings(store=StoreSettings(url=url)))]
    assert only.answer.startswith("127.0.0.1: The store's server is away.")
    assert "store.url" in only.remedy
    assert "hidden" not in only.answer


async def test_a_store_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (only,) = [finding async for finding in check_database(Settings())]
    assert f"It was looked for at {tmp_path / 'pns.db'}. There is no config.toml in {tmp_path}" in only.answer
    assert "--config" in only.remedy


async def test_a_node_without_its_bus_is_no_good_answer(
    application: HostApplication, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ServerProcess(tmp_path, auth_url=application.url, bus__url="redis://127.0.0.1:1") as server:
        assert await examine(_settings(server), url=server.url, cookies=[], origin="") == 1
    report = capsys.readouterr().out
    assert "✗ PNS is ready" in report
    assert "✗ the bus: Redis" in report


async def test_an_embedded_pns_has_no_auth_url() -> None:
    (only,) = [finding async for finding in check_application(Settings(), {})]
    assert only.verdict is Verdict.NOT_ASKED
    assert "user=" in only.remedy


async def test_nothing_runs_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with HostApplication(by_cookie) as application:
        settings = _settings(ServerProcess(tmp_path, auth_url=application.url))
        assert await examine(settings, url="http://127.0.0.1:1", cookies=[], origin="") == 1
    report = capsys.readouterr().out
    assert "start `pns serve`" in report
    assert not (tmp_path / "pns.db").exists(), "the doctor makes nothing"


def _settings(server: ServerProcess) -> Settings:
    return Settings.load(None, {name: value for name, value in server.environment.items() if "PNS_" in name})
