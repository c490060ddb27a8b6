"""`pns push status`: which gateways are set, what is in the outbox, and since when it waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.gateway import Outcome, Receipt
from pns.contracts.outbox import Claim, Settlement
from pns.contracts.store import Store, Submission
from pns.model.notification import Notification
from pns.model.push import PushSchedule, PushState
from pns.model.timestamp import DAY
from pns.model.webhook import WebhookKind, WebhookTerms
from pns.ops.commands.push import status
from pns.ops.commands.push.status import ago, print_status
from pns.runtime.metrics import Metrics
from pns.settings import Settings, StoreSettings, WebhookSettings
from pns.testing import FakeClock
from tests.ops.commands.push.test_devices import device, opened
from tests.push.scripted import ScriptedGateway


@pytest.fixture
async def store(
    settings: Settings, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    monkeypatch.setattr(status, "SystemClock", lambda: clock)
    async with opened(settings, clock) as store:
        yield store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=StoreSettings(url=f"sqlite:///{tmp_path / 'pns.db'}"))


async def shown(settings: Settings) -> list[str]:
    lines: list[str] = []
    await print_status(settings, echo=lines.append)
    return lines


async def notify(store: Store, *ids: str, delay: int = 0) -> None:
    notifications = tuple(Notification("x", notification_id=id) for id in ids)
    await store.append([Submission("mike", notifications)], PushSchedule(delay, DAY))


def sets(monkeypatch: pytest.MonkeyPatch, *gateways: ScriptedGateway) -> None:
    monkeypatch.setattr(status, "make_gateways", lambda *given, **more: list(gateways))


async def test_nothing_is_set_and_nothing_waits(settings: Settings, store: Store) -> None:
    assert await shown(settings) == ["gateways: none is set, so nothing is pushed", "nothing waits"]


async def test_what_is_in_which_state(
    settings: Settings, store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets(monkeypatch, ScriptedGateway("fcm"), ScriptedGateway("apns"))
    for each in (device("d-1"), device("d-2", network="apns", gateway="apns")):
        await store.outbox.register(each)
    await notify(store, "n-1")
    for push in await store.outbox.claim(Claim("fcm", 10, 2**62, offline_only=False)):
        await store.outbox.settle([Settlement(push, PushState.ACCEPTED)])
    for push in await store.outbox.claim(Claim("apns", 10, 2**62, offline_only=False)):
        due_at = clock.now() + 3600 * 1_000_000
        await store.outbox.settle([Settlement(push, PushState.RETRY, "503", due_at=due_at)])
    await notify(store, "n-2", "n-3", delay=2 * 3600 * 1_000_000)
    lines = await shown(settings)
    assert lines[:3] == [
        "gateways: fcm (fcm), apns (apns)",
        "GATEWAY  STATE     PUSHES  NEXT        SUCH AS",
        "apns     queued    2       due in 2 h  -",
    ]
    assert lines[3].split() == ["apns", "retry", "1", "due", "in", "1", "h", "503"]
    assert lines[4].split() == ["fcm", "accepted", "1", "-", "-"]
    assert lines[5].split() == ["fcm", "queued", "2", "due", "in", "2", "h", "-"]
    assert lines[6:] == ["5 wait, the first due in 1 h; 1 of apns again, such as: 503"]


async def test_what_waits_for_a_gateway_that_is_not_set(settings: Settings, store: Store) -> None:
    await store.outbox.register(device("d-1"))
    await notify(store, "n-1")
    (remedy,) = [line for line in await shown(settings) if "[push.fcm] is set" in line]
    assert "pns devices regateway --help" in remedy


async def test_what_is_done_with_waits_for_nothing(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets(monkeypatch)
    await store.outbox.register(device("d-1"))
    await notify(store, "n-1")
    (push,) = await store.outbox.claim(Claim("fcm", 10, 2**62, offline_only=False))
    await store.outbox.settle([Settlement(push, PushState.FAILED, "too long")])
    assert (await shown(settings))[-1] == "nothing waits"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "due 0 s ago"),
        (-59, "due in 59 s"),
        (60, "due 1 min ago"),
        (3599, "due 59 min ago"),
        (-7200, "due in 2 h"),
        (86_400 * 3, "due 3 d ago"),
    ],
)
def test_since_when(seconds: int, told: str) -> None:
    now = 1_800_000_000_000_000
    assert ago(now - seconds * 1_000_000, now) == told


async def test_a_retry_waits(settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sets(monkeypatch, ScriptedGateway("fcm", script=lambda push: Receipt(Outcome.RETRY)))
    await store.outbox.register(device("d-1"))
    await notify(store, "n-1")
    (push,) = await store.outbox.claim(Claim("fcm", 10, 2**62, offline_only=False))
    later = push.create_date + 600 * 1_000_000
    await store.outbox.settle([Settlement(push, PushState.RETRY, "busy", due_at=later)])
    *_, line, summary = await shown(settings)
    assert line.split()[:3] == ["fcm", "retry", "1"]
    assert summary == "1 wait, the first due in 10 min; 1 of fcm again, such as: busy"


async def test_events_for_the_application(settings: Settings, clock: FakeClock, store: Store) -> None:
    kinds = frozenset([WebhookKind.SEEN])
    telling = SQLiteStore(
        settings.store.url.removeprefix("sqlite:///"),
        clock=clock,
        metrics=Metrics(),
        webhook=WebhookTerms(kinds, 0, 0, DAY),
    )
    await telling.open()
    await telling.append([Submission("mike", (Notification("x"),))])
    await telling.mark_all_seen("mike")
    await telling.close()
    lines = await shown(settings)
    assert any(line.startswith("webhooks: webhook.url is not set, so only functions of") for line in lines)
    told = msgspec.structs.replace(settings, webhook=WebhookSettings(url="http://127.0.0.1:9/h?secret=1"))
    lines = await shown(told)
    assert "webhooks: unseen to http://127.0.0.1:9/h" in lines
    assert lines[-1].split() == ["seen", "queued", "1", "due", "0", "s", "ago", "-"]
