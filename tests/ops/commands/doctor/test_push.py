"""The doctor on push: gateways that are well and ill, and an outbox that is left lying."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pns.contracts.store import Store, Submission
from pns.errors import SettingsError
from pns.model.device import Network
from pns.model.notification import Notification
from pns.model.push import PushSchedule
from pns.ops.commands.doctor import browsers as doctor_of_browsers
from pns.ops.commands.doctor import push as doctor
from pns.ops.commands.doctor.finding import Finding, Verdict
from pns.ops.commands.doctor.push import check_push
from pns.settings import FCMSettings, PushSettings, Settings, StoreSettings
from pns.testing import FakeClock
from tests.adapters.gateways.fake_google import Google, error
from tests.harness import HostApplication, ServerProcess
from tests.ops.commands.push.test_devices import device, opened
from tests.push.scripted import ScriptedGateway

MINUTE = 60_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=StoreSettings(url=f"sqlite:///{tmp_path / 'pns.db'}"))


@pytest.fixture
async def store(
    settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    monkeypatch.setattr(doctor, "SystemClock", lambda: clock)
    async with opened(settings, clock) as store:
        yield store


NOBODY = "http://127.0.0.1:1"


async def findings(settings: Settings, url: str = NOBODY) -> dict[str, Finding]:
    """By their questions; the last of each. `url`: where PNS runs."""
    return {finding.question: finding async for finding in check_push(settings, url=url)}


def sets(monkeypatch: pytest.MonkeyPatch, *gateways: ScriptedGateway) -> None:
    monkeypatch.setattr(doctor, "make_gateways", lambda *given, **more: list(gateways))


async def enqueue(store: Store, *, delay: int = 0) -> None:
    await store.outbox.register(device("d-1"))
    await store.append([Submission("mike", (Notification("x"),))], PushSchedule(delay, 1440 * MINUTE))


def beside(server: ServerProcess) -> Settings:
    """Settings that know the server's store, and nothing else of it."""
    return Settings(store=StoreSettings(url=server.environment["PNS_STORE__URL"]))


# ── gateways ──────────────────────────────────────────────────────────────────────────────────────────


async def test_push_is_off(server: ServerProcess) -> None:
    found = await findings(beside(server), server.url)
    assert {question: finding.verdict for question, finding in found.items()} == {
        "push": Verdict.GOOD,
        "the outbox": Verdict.GOOD,
    }
    assert found["push"].answer.startswith("off: no gateway is set")


async def test_what_runs_may_have_gateways_that_these_settings_have_not(
    application: HostApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = "mailto:you@example.com"
    async with ServerProcess(tmp_path, auth_url=application.url, push__webpush__subject=subject) as server:
        found = (await findings(beside(server), server.url))["push"]
        assert (found.verdict, found.answer) == (
            Verdict.NOT_ASKED,
            "off in these settings; the running PNS has webpush",
        )
        assert "[push]" in found.remedy
        sets(monkeypatch, ScriptedGateway("fcm"))
        found = (await findings(beside(server), server.url))["push"]
        assert found.answer == "fcm in these settings; the running PNS has webpush"
        sets(monkeypatch, ScriptedGateway("webpush"))
        found = (await findings(beside(server), server.url))["push"]
        assert (found.verdict, found.answer) == (Verdict.GOOD, "webpush; off: fcm, apns, azure, mqtt")


async def test_what_waits_for_a_gateway_that_only_what_runs_has(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def networks(url: str) -> set[Network]:
        return {running}

    monkeypatch.setattr(doctor, "_networks", networks)
    await enqueue(store)
    running: Network = "fcm"
    assert (await findings(settings))["the outbox"].verdict is Verdict.GOOD
    running = "mqtt"
    assert (await findings(settings))["the outbox"].answer == "1 wait for fcm, which is not set"


async def test_whether_push_is_off_only_what_runs_can_say(settings: Settings, store: Store) -> None:
    found = (await findings(settings))["push"]
    assert found.verdict is Verdict.NOT_ASKED
    assert found.answer == "off in these settings; the running PNS does not say what it has"


async def test_what_is_on_and_what_is_off(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets(monkeypatch, ScriptedGateway("fcm"), ScriptedGateway("mqtt"))
    found = await findings(settings)
    assert found["push"].answer == "fcm, mqtt; off: apns, webpush, azure"
    assert found["gateway fcm"].verdict is found["gateway mqtt"].verdict is Verdict.GOOD


async def browsers(store: Store, *keys: dict[str, str]) -> None:
    for number, each in enumerate(keys):
        name = f"browser-{number}"
        await store.outbox.register(
            replace(device(name), network="webpush", gateway="webpush", address=name, keys=each)
        )


@pytest.mark.parametrize(
    ("keys", "verdict", "answer"),
    [
        ([{}, {"server_key": "ours"}], Verdict.GOOD, "2, none known to be subscribed with another key"),
        ([{}, {}, {"server_key": "old"}], Verdict.GOOD, "1 of 3 are subscribed with another key than"),
        ([{}, {"server_key": "old"}], Verdict.BAD, "1 of 2 are subscribed with another key than"),
        ([{"refused_key": "ours"}], Verdict.BAD, "1 of 1 are subscribed with another key than"),
        ([{"refused_key": "old"}], Verdict.GOOD, "1, none known to be subscribed with another key"),
    ],
)
async def test_browsers_of_another_key(
    settings: Settings,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    keys: list[dict[str, str]],
    verdict: Verdict,
    answer: str,
) -> None:
    webpush = ScriptedGateway("webpush")
    webpush.facts = {"application_server_key": "ours"}
    sets(monkeypatch, webpush)
    monkeypatch.setattr(doctor_of_browsers, "PAGE", 2)
    await browsers(store, *keys)
    await store.outbox.register(device("phone"))
    found = (await findings(settings))["browsers"]
    assert (found.verdict, found.answer[: len(answer)]) == (verdict, answer)
    assert verdict is Verdict.GOOD or "push.webpush.private_key" in found.remedy


async def test_a_gateway_in_trouble(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill = ScriptedGateway("apns")

    async def trouble() -> str:
        return "Apple takes no such topic."

    ill.trouble = trouble  # type: ignore[method-assign]
    sets(monkeypatch, ScriptedGateway("fcm"), ill)
    found = await findings(settings)
    assert found["gateway fcm"].verdict is Verdict.GOOD
    assert (found["gateway apns"].verdict, found["gateway apns"].answer) == (Verdict.BAD, await trouble())
    assert "[push.apns]" in found["gateway apns"].remedy


async def test_a_gateway_that_cannot_start_or_does_not_answer(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, silent = ScriptedGateway("fcm"), ScriptedGateway("apns")

    async def start() -> None:
        raise SettingsError("push.fcm.credentials: there is no such file")

    wrong.start = start  # type: ignore[method-assign]
    silent.trouble = lambda: FakeClock().sleep(1)  # type: ignore[assignment, method-assign, return-value]
    sets(monkeypatch, wrong, silent)
    monkeypatch.setattr(doctor, "SECONDS", 0.05)
    found = await findings(settings)
    assert found["gateway fcm"].answer == "push.fcm.credentials: there is no such file"
    assert found["gateway apns"].answer == "no answer within 0.05 s"
    assert found["gateway fcm"].verdict is found["gateway apns"].verdict is Verdict.BAD


async def test_the_real_gateway_to_fcm(settings: Settings, tmp_path: Path) -> None:
    async with opened(settings):
        pass
    async with Google(FakeClock(time.time_ns() // 1000)) as google:
        fcm = FCMSettings(credentials=str(google.key_file(tmp_path)), url=google.url)
        with_fcm = Settings(store=settings.store, push=PushSettings(fcm=fcm))
        assert (await findings(with_fcm))["gateway fcm"].verdict is Verdict.GOOD
        google.tokens = error(400, "invalid_grant")
        assert (await findings(with_fcm))["gateway fcm"].verdict is Verdict.BAD
        assert google.sent == [], "nobody was sent anything"


async def test_settings_that_are_impossible(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(*given: object, **more: object) -> None:
        raise SettingsError("push.mqtt.url needs the package aiomqtt: install it")

    monkeypatch.setattr(doctor, "make_gateways", make)
    (only,) = (await findings(settings)).values()
    assert only.verdict is Verdict.BAD
    assert "aiomqtt" in only.answer


# ── the outbox ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("delay", "later", "told", "verdict"),
    [
        (0, 0, "1 wait, the first due 0 s ago", Verdict.GOOD),
        (10 * MINUTE, 0, "1 wait, the first due in 10 min", Verdict.GOOD),
        (0, 299, "1 wait, the first due 4 min ago", Verdict.GOOD),
        (0, 301, "1 wait, the first due 5 min ago", Verdict.BAD),
    ],
)
async def test_what_waits_too_long(
    settings: Settings,
    store: Store,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    *,
    delay: int,
    later: float,
    told: str,
    verdict: Verdict,
) -> None:
    sets(monkeypatch, ScriptedGateway("fcm"))
    await enqueue(store, delay=delay)
    clock.advance(later)
    outbox = (await findings(settings))["the outbox"]
    assert (outbox.answer, outbox.verdict) == (told, verdict)
    if verdict is Verdict.BAD:
        assert "role is all or push" in outbox.remedy


async def test_what_waits_for_a_gateway_that_is_not_set(settings: Settings, store: Store) -> None:
    await enqueue(store)
    outbox = (await findings(settings))["the outbox"]
    assert (outbox.answer, outbox.verdict) == ("1 wait for fcm, which is not set", Verdict.BAD)
    assert "pns devices regateway --from fcm" in outbox.remedy


async def test_without_a_store_it_is_not_asked(settings: Settings, tmp_path: Path) -> None:
    (only,) = (await findings(settings)).values()
    assert only.verdict is Verdict.NOT_ASKED
    assert "the store" in only.remedy
    assert not (tmp_path / "pns.db").exists()
