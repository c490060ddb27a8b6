"""kill -9 of nodes that tell an application, at every step of an event: nothing is lost, and ids stay.

An event that was taken comes again only where its node died between the 2xx and the settling.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.dying import program
from tests.harness.postgres import Postgres
from tests.harness.server import SERVE
from tests.harness.taking import OK, Answer, Application, Posted, status

SETTINGS = {
    "webhook__events": "unseen,seen",
    "webhook__unseen_after_seconds": 0,
    "webhook__unseen_every_seconds": 0,
    "limits__requests_per_second": 1_000_000,
}


@pytest.fixture
async def taking() -> AsyncIterator[Application]:
    async with Application() as application:
        yield application


class Nodes:
    """Nodes on one store. `serving` takes notifications and sends nothing."""

    def __init__(
        self,
        folder: Path,
        auth_url: str,
        webhook_url: str,
        *,
        postgres: Postgres | None = None,
        **settings: Any,
    ) -> None:
        self._folder = folder
        self._auth_url = auth_url
        self.store = folder / "serving" / "pns.db"
        self._postgres = postgres
        store_url = f"sqlite:///{self.store}" if postgres is None else postgres.url
        self._settings = {**SETTINGS, **settings, "webhook__url": webhook_url, "store__url": store_url}
        self.serving = self.node("serving", [*SERVE, "--role", "web"])

    def node(self, name: str, program: list[str]) -> ServerProcess:
        folder = self._folder / name
        folder.mkdir()
        return ServerProcess(folder, auth_url=self._auth_url, program=program, **self._settings)

    def end_leases(self) -> None:
        """As if the time of every lease were over."""
        with closing(sqlite3.connect(self.store, timeout=30)) as connection, connection:
            connection.execute("UPDATE webhook_events SET due_at = 1 WHERE state = 'sending'")

    def events(self) -> int:
        if self._postgres is not None:
            return int(self._postgres.run("SELECT count(*) FROM pns.webhook_events")[0])
        with closing(sqlite3.connect(self.store, timeout=30)) as connection:
            return int(connection.execute("SELECT count(*) FROM webhook_events").fetchone()[0])


class Account:
    """What an application was told, and what it answered."""

    def __init__(self) -> None:
        self.attempts: dict[str, list[Posted]] = defaultdict(list)
        self.taken: Counter[str] = Counter()
        self.events_of: dict[tuple[str, str], set[str]] = defaultdict(set)
        """The events that name a notification, by type and notification."""

    def seen(self, notification_id: str) -> int:
        """The attempts to tell that the notification is unseen."""
        events = self.events_of.get(("notifications.unseen", notification_id), set())
        return sum(len(self.attempts[id]) for id in events)

    def note(self, posted: Posted, answer: Answer) -> Answer:
        data = posted.json["data"]
        ids = data.get("notification_ids") or [item["notification_id"] for item in data["notifications"]]
        self.attempts[posted.id].append(posted)
        self.taken[posted.id] += answer == OK
        for id in ids:
            self.events_of[(posted.json["type"], id)].add(posted.id)
        return answer


ATTEMPTS = {"due": (0, 1), "claimed": (0, 1), "sending": (1, 1), "sent": (1, 1), "settled": (1, 0)}
"""By the step at which a node dies: attempts of this node, and of the next node."""


async def test_kill_9_at_every_step(
    application: HostApplication, taking: Application, tmp_path: Path
) -> None:
    nodes, account = Nodes(tmp_path, application.url, taking.url), Account()
    async with nodes.serving as serving, serving.backend() as backend:
        for step, attempts in ATTEMPTS.items():
            taking.answer = lambda posted: account.note(posted, OK)
            if step == "sending":
                taking.answer = lambda posted: account.note(posted, _hang)
            words = [*SERVE, "--role", "push"] if step == "sending" else program(step)
            async with nodes.node(step, words) as node:
                await backend.notify("ann", {"notification_data": "x", "notification_id": step})
                if step == "sending":
                    await eventually(lambda: account.seen(step))  # noqa: B023
                    await node.kill()
                assert node.process is not None
                assert await asyncio.to_thread(node.process.wait, 30) == -signal.SIGKILL
            taking.answer = lambda posted: account.note(posted, OK)
            before = account.seen(step)
            nodes.end_leases()
            async with nodes.node(f"after {step}", [*SERVE, "--role", "push"]):
                await eventually(lambda: nodes.events() == 0 and account.seen(step))  # noqa: B023
            assert (before, account.seen(step) - before) == attempts
    assert {len(events) for events in account.events_of.values()} == {1}, "an event keeps its id"


# ── for long ──────────────────────────────────────────────────────────────────────────────────────────


async def _drip(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 204 No Content\r\nx-slow: " + b"a" * 500:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _cut(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


TIMEOUT_SECONDS = 4
"""Longer than any of these processes waits for a core: a 2xx that comes later is none."""
ILL: tuple[Answer, ...] = (
    *(_drip, _hang, _cut),
    status(500),
    status(301, "location: /elsewhere"),
    status(429, "retry-after: 2"),
    status(410),
)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_kill_9_for_long(
    engine: str, application: HostApplication, taking: Application, tmp_path: Path
) -> None:
    """Two nodes that send, killed at random; an application that is ill every other time."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(Postgres()) if engine == "postgres" else None
        nodes = Nodes(
            tmp_path, application.url, taking.url, postgres=postgres, webhook__timeout_seconds=TIMEOUT_SECONDS
        )
        await _ordeal(nodes, taking)


async def _ordeal(nodes: Nodes, taking: Application) -> None:
    account, chance, well = Account(), random.Random(1), False
    taken_at: dict[str, float] = {}
    after: list[tuple[str, float, float]] = []
    """Attempts behind a 2xx: the event, and when both began."""

    def answer(posted: Posted) -> Answer:
        if posted.id in taken_at:
            after.append((posted.id, taken_at[posted.id], monotonic()))
        given: Answer = OK if well or chance.random() < 0.6 else chance.choice(ILL)
        if given == OK:
            taken_at.setdefault(posted.id, monotonic())
        return account.note(posted, given)

    taking.answer = answer
    ids: dict[str, str] = {}
    async with nodes.serving as serving, serving.backend() as backend:
        senders = [nodes.node(f"sender {number}", [*SERVE, "--role", "push"]) for number in range(2)]
        kills: list[float] = []
        try:
            for sender in senders:
                await sender.start()
            for round in range(60):
                for _ in range(10):
                    user = f"user-{chance.randint(1, 40)}"
                    for id in await backend.notify(user, f"{len(ids)}"):
                        ids[id] = user
                await asyncio.sleep(chance.random() * 2)
                sender = senders[round % 2]
                kills.append(monotonic())
                await sender.kill()
                await sender.start()
            well = True
            for sender in senders:  # after a 410 only a start turns them on
                await sender.kill()
                await sender.start()
            await eventually(lambda: nodes.events() == 0 and len(account.events_of) >= len(ids), within=600)
        finally:
            for sender in senders:
                await sender.kill()
    assert {id for _, id in account.events_of} == set(ids), "nothing was lost"
    assert {len(events) for events in account.events_of.values()} == {1}, "each is in one event"
    assert all(account.taken[id] for id in account.attempts), "each event was taken"
    assert len(account.attempts) > 100
    for id, first, again in after:
        killed = any(first - 0.1 <= kill <= again for kill in kills)
        assert killed, f"{id} came again after {again - first:.2f} s without a kill"
    print(f"{len(ids)} notifications, {len(account.attempts)} events, {len(kills)} kills,")
    print(f"{sum(map(len, account.attempts.values()))} attempts, {len(after)} behind a 2xx")
