"""The operator's overview: whatever /readyz calls degraded, and everything that waits, with a reason."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert

from pns.compose import make_outgoing
from pns.contracts.receiver import Letter, Reply, Taking
from pns.model.timestamp import format_timestamp
from pns.model.webhook import WebhookKind
from pns.testing import FakeClock
from pns.transactional.sqlalchemy import outgoing
from tests.push.webhook.conftest import ScriptedReceiver
from tests.web.edge import Edge, an_edge, in_time
from tests.web.operator.test_pages import OperatorLogin, Page, read
from tests.web.test_user_devices import notify


class Application(ScriptedReceiver):
    """Answers 503 to marks of reading, and 410 to all others."""

    def __init__(self, *kinds: WebhookKind) -> None:
        super().__init__(self.reply)
        self.kinds = frozenset(kinds)

    def reply(self, letter: Letter) -> Reply:
        if letter.kind is WebhookKind.READ:
            return Reply(Taking.AGAIN, "503: down for <repairs>")
        return Reply(Taking.GONE, "410 Gone")


@pytest.fixture
async def edge(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Edge]:
    receiver = Application(WebhookKind.SEEN, WebhookKind.READ)
    async with an_edge(tmp_path, OperatorLogin(), clock=clock, receiver=receiver) as edge:
        yield edge


async def mark(edge: Edge, as_: str, *ids: str) -> None:
    body = {"as": as_, "notification_ids": ids}
    (await edge.application.post("/users/alice/marks", json=body)).raise_for_status()


async def overview(edge: Edge) -> str:
    return Page(await read(edge, "")).text


async def test_whatever_makes_readyz_degraded_is_told(edge: Edge, clock: FakeClock) -> None:
    assert "This node ready" in await overview(edge)
    await notify(edge, notification_id="a")
    await mark(edge, "seen", "a")
    await in_time(clock, edge.node.degraded)
    (trouble,) = (await edge.client.get("/readyz")).json()["degraded"]
    assert trouble.startswith("webhooks are off: the application answered 410 Gone")
    text = await overview(edge)
    assert "This node degraded" in text
    assert trouble in text


async def test_events_that_wait_are_told_with_state_time_and_reason(edge: Edge, clock: FakeClock) -> None:
    await notify(edge, notification_id="a")
    await mark(edge, "seen", "a")
    await mark(edge, "read", "a")

    async def told() -> bool:
        text = await overview(edge)
        return "410 Gone" in text and "503: down for <repairs>" in text

    await in_time(clock, told)
    text = await overview(edge)
    assert "2 webhooks waiting" in text
    for line in await edge.node.store.webhooks.backlog():
        assert line.oldest is not None
        moment = format_timestamp(line.oldest)[:19].replace("T", " ")
        assert f"{line.kind.type} 1 waiting {line.reason} 1 to be tried again; the first" in text
        assert f"{moment} (UTC)" in text.partition(line.kind.type)[2]
    assert "Nothing waits" not in text


async def test_an_event_that_failed_is_among_what_is_done(tmp_path: Path, clock: FakeClock) -> None:
    receiver = Application(WebhookKind.READ)
    async with an_edge(tmp_path, OperatorLogin(), clock=clock, receiver=receiver) as edge:
        await notify(edge, notification_id="a")
        await mark(edge, "read", "a")

        async def failed() -> bool:
            clock.advance(3600)
            return "notifications.read failed 1 503: down for <repairs>" in await overview(edge)

        await in_time(clock, failed)


async def test_events_behind_a_410_have_its_reason(edge: Edge, clock: FakeClock) -> None:
    """Nobody has tried this event: the reason is the node's."""
    await notify(edge, notification_id="a")
    await notify(edge, notification_id="b")
    await mark(edge, "seen", "a")
    await in_time(clock, edge.node.degraded)
    await mark(edge, "read", "b")
    text = await overview(edge)
    assert "notifications.read 1 waiting webhooks are off: the application answered 410 Gone" in text


async def test_notifications_of_later_are_counted(edge: Edge, clock: FakeClock) -> None:
    assert "Nothing waits." in await overview(edge)
    due = clock.now() + 86_400 * 1_000_000
    for number in range(3):
        at = format_timestamp(due + number * 1_000_000)
        await notify(edge, notification_id=f"n{number}", deliver_date=at)
    text = await overview(edge)
    assert f"3 waiting the first at {format_timestamp(due)[:19].replace('T', ' ')} (UTC)" in text
    assert "Nothing waits" not in text


async def test_the_application_s_own_table_is_counted(tmp_path: Path, clock: FakeClock) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    outgoing.create(engine)
    with engine.begin() as connection:
        refused = {"id": "a", "user_id": "42", "notification": '{"notification_data": 1}'}
        connection.execute(insert(outgoing).values(refused))
    rows = make_outgoing(engine, clock=clock)
    async with an_edge(tmp_path, OperatorLogin(), clock=clock, outgoing=rows) as edge:

        async def told() -> bool:
            return "pns_outgoing 0 waiting 1 refused" in await overview(edge)

        await in_time(clock, told)
    engine.dispose()
