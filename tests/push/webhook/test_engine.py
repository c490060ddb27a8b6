"""A node that tells its application: over HTTP, with the secret of the store, seen from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from pns import PNS, Event, MarkedTold, Notification, Settings, SettingsError, UnseenTold
from pns.contracts.webhooks import WebhookBacklog
from pns.model.role import Role
from pns.model.webhook import WebhookKind
from pns.push.webhook.engine import webhook_terms
from pns.settings import ServerSettings, WebhookSettings
from pns.testing import FakeClock, temporary_pns
from pns.testing.temporary import empty_store
from tests.harness.taking import Application, status


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    async with Application() as application:
        yield application


@pytest.fixture
def pns(tmp_path: Path, clock: FakeClock, application: Application) -> PNS:
    return PNS(
        f"sqlite:///{empty_store(tmp_path / 'pns.db')}",
        settings=Settings(
            server=ServerSettings(public_url="https://app.example.com/pns"),
            webhook=WebhookSettings(url=application.url, events=("unseen", "seen", "read", "device_removed")),
        ),
        clock=clock,
    )


async def until(condition: Callable[[], object], clock: FakeClock) -> None:
    async with asyncio.timeout(30):
        while not condition():
            clock.advance(0.5)
            await asyncio.sleep(0.01)


async def until_idle(pns: PNS, clock: FakeClock) -> None:
    """Until nothing is on its way."""
    async with asyncio.timeout(30):
        while await pns._started.store.webhooks.backlog():
            clock.advance(0.5)
            await asyncio.sleep(0.01)


async def until_put_off(pns: PNS, clock: FakeClock) -> list[WebhookBacklog]:
    """Until all that is on its way waits for another node."""
    async with asyncio.timeout(30):
        while True:
            found = await pns._started.store.webhooks.backlog()
            if all(each.reason == "waits for a node with a function for it" for each in found):
                return found
            clock.advance(0.5)
            await asyncio.sleep(0.01)


async def test_a_node_tells_its_application(pns: PNS, clock: FakeClock, application: Application) -> None:
    async with pns:
        await pns.notify("ann", {"title": "Order shipped"})
        clock.advance(900)
        await until(lambda: application.posted, clock)
        secret = await pns._started.store.webhook_secret()
        await pns.seen("ann")
        await until(lambda: len(application.posted) == 2, clock)
        await until_idle(pns, clock)
        lines = [(line.what, line.detail) for line in await pns.timeline("ann")]
    assert [detail for what, detail in lines if what == "webhook"] == [
        "notifications.unseen",
        "notifications.seen",
    ]
    unseen, seen = application.posted
    sent_at = int(unseen.headers["webhook-timestamp"])
    assert 0 <= clock.now() // 1_000_000 - sent_at < 60, "by the node's own clock"
    with pytest.raises(Exception, match="too new"):
        Webhook(secret).verify(unseen.body, unseen.headers)
    assert unseen.json["data"]["unsubscribe"] == {}
    assert (seen.json["type"], seen.json["data"]["user_id"]) == ("notifications.seen", "ann")
    assert unseen.id != seen.id


async def test_after_a_410_the_node_is_degraded(pns: PNS, clock: FakeClock, application: Application) -> None:
    application.answer = lambda posted: status(410)
    async with pns:
        assert pns._started.degraded() == []
        await pns.notify("ann", "a")
        await pns.seen("ann")
        await until(pns._started.degraded, clock)
        (trouble,) = pns._started.degraded()
        assert trouble.startswith("webhooks are off: the application answered 410 Gone: ")
        assert await pns._started.problems() == []


@pytest.mark.parametrize(("role", "tells"), [("web", False), ("push", True)])
async def test_the_role_decides_who_sends(
    pns: PNS, clock: FakeClock, application: Application, role: Role, tells: bool
) -> None:
    async with pns:
        node = pns._started
        engine = type(node.telling)(
            node.settings,
            object(),  # type: ignore[arg-type]  # nobody asks it here
            node.store,
            unsubscribing=node.unsubscribing,
            role=role,
            clock=clock,
            metrics=node.metrics,
        )
        assert (engine._sender is not None) is tells


def test_no_kinds_are_no_webhook() -> None:
    assert webhook_terms(WebhookSettings(), frozenset()).kinds == frozenset()
    terms = webhook_terms(WebhookSettings(unseen_after_seconds=1.5), frozenset([WebhookKind.UNSEEN]))
    assert terms == (frozenset([WebhookKind.UNSEEN]), 1_500_000, 3_600_000_000, 259_200_000_000)


# ── inside a host ─────────────────────────────────────────────────────────────────────────────────────


async def test_functions_of_the_host_are_told(clock: FakeClock) -> None:
    """A sync and an async one; what fails comes again under its id, without what was seen meanwhile."""
    unseen: list[Event[UnseenTold]] = []
    seen: list[Event[MarkedTold]] = []
    read: list[Event[MarkedTold]] = []

    async def on_unseen(event: Event[UnseenTold]) -> None:
        unseen.append(event)
        if len(unseen) < 3:
            raise ConnectionError("the mail server is away")

    settings = Settings(webhook=WebhookSettings(unseen_after_seconds=60))
    async with temporary_pns(
        clock=clock, settings=settings, on_unseen=on_unseen, on_seen=seen.append, on_read=read.append
    ) as pns:
        await pns.notify("ann", [Notification("A", "a"), Notification("B", "b"), Notification("C", "c")])
        await until(lambda: unseen, clock)
        await pns.mark("ann", "read", notification_ids=["a"])
        await until(lambda: len(unseen) == 3 and seen and read, clock)
        await pns.seen("ann")
        await until(lambda: len(seen) == 2, clock)
        clock.advance(8000)
        await until_idle(pns, clock)
    assert len({event.webhook_id for event in unseen}) == 1
    assert {event.type for event in unseen} == {"notifications.unseen"}
    assert len(unseen) == 3, "after a success there is no other"
    held = [[item.notification_id for item in event.data.notifications] for event in unseen]
    assert held[0] == ["a", "b", "c"]
    assert held[-1] == ["b", "c"]
    assert unseen[-1].data.unseen == 2
    assert [event.data.notification_ids for event in (*seen, *read)] == [["a"], ["b", "c"], ["a"]]
    assert len({event.webhook_id for event in [*seen, *read]} | {unseen[0].webhook_id}) == 4


@pytest.mark.parametrize("name", ["on_unseen", "on_seen", "on_read", "on_device_removed"])
async def test_a_function_says_what_is_told(clock: FakeClock, name: str) -> None:
    """Of whatever `webhook.events` says; nothing is written for what has no function."""
    functions: dict[str, Any] = {name: lambda event: None}
    async with temporary_pns(clock=clock, **functions) as pns:
        assert pns._started.store._webhook.kinds == {WebhookKind(name.removeprefix("on_"))}  # type: ignore[attr-defined]
        await pns.notify("ann", "a")
        await pns.mark("ann", "read", all=True)
        written = {found.kind for found in await pns._started.store.webhooks.backlog()}
    assert written == {WebhookKind(name.removeprefix("on_"))} & {WebhookKind.SEEN, WebhookKind.READ}


async def test_what_was_written_for_a_function_waits_for_the_function(
    tmp_path: Path, clock: FakeClock
) -> None:
    """A worker without the function, or a start without it, loses nothing and holds up nothing."""
    url = f"sqlite:///{empty_store(tmp_path / 'pns.db')}"
    got: list[Event[Any]] = []

    def refuse(event: Event[Any]) -> None:
        raise ConnectionError

    async with PNS(url, clock=clock, on_seen=refuse) as pns:
        await pns.notify("ann", "a")
        await pns.seen("ann")
    async with PNS(url, clock=clock, on_read=got.append) as pns:
        await pns.notify("bob", "b")
        await pns.mark("bob", "read", all=True)
        await until(lambda: got, clock)
        (waiting,) = await until_put_off(pns, clock)
        assert (waiting.kind, waiting.events) == (WebhookKind.SEEN, 1)
    async with PNS(url, clock=clock, on_seen=got.append) as pns:
        await until(lambda: len(got) == 2, clock)
    assert [(event.type, event.data.user_id) for event in got] == [
        ("notifications.read", "bob"),
        ("notifications.seen", "ann"),
    ]


async def test_a_function_that_hangs_is_called_again(clock: FakeClock) -> None:
    called: list[str] = []

    async def hang(event: Event[Any]) -> None:
        called.append(event.webhook_id)
        if len(called) == 1:
            await asyncio.Event().wait()

    settings = Settings(webhook=WebhookSettings(timeout_seconds=0.05))
    async with temporary_pns(clock=clock, settings=settings, on_seen=hang) as pns:
        await pns.notify("ann", "a")
        await pns.seen("ann")
        await until(lambda: len(called) == 2, clock)
    assert called[0] == called[1]


@pytest.mark.parametrize(
    ("webhook", "functions", "said"),
    [
        (WebhookSettings(url="http://127.0.0.1:1/hook"), {"on_seen": print}, "webhook.url and on_seen="),
        (WebhookSettings(), {"on_read": "mail"}, "on_read is a function of an event, not str"),
        (WebhookSettings(), {"on_unseen": 3}, "on_unseen is a function of an event, not int"),
    ],
)
async def test_what_cannot_be_told_does_not_start(
    clock: FakeClock, webhook: WebhookSettings, functions: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        async with temporary_pns(clock=clock, settings=Settings(webhook=webhook), **functions):
            pass
