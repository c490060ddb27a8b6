"""kill -9 of nodes that deliver pending notifications: each is delivered once, and none before its time."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Backend, HostApplication, ServerProcess, eventually
from tests.harness.dying_deliverer import MOMENTS, program
from tests.harness.postgres import Postgres
from tests.harness.server import SERVE

STEP = 100
"""See pns.inbox.deliverer."""
USERS = ("ann", "bob", "é 7")
MOVED = """
SELECT (SELECT count(*) FROM {schema}notifications), (SELECT count(*) FROM {schema}pending),
  sum(last_seq), sum(unseen) FROM {schema}users
"""
"""Last: the places that were ever taken, one for each delivery."""
PASS = (
    "UPDATE {schema}pending SET deliver_date = deliver_date - 86400000000 WHERE notification_id LIKE 'due-%'"
)
"""As if a day had passed for these."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


class Nodes:
    """Nodes on one store. `serving` takes notifications and delivers none."""

    def __init__(self, folder: Path, engine: str, auth_url: str, request: pytest.FixtureRequest) -> None:
        self._folder = folder
        self._path = folder / "serving" / "pns.db"
        self._postgres: Postgres | None = None
        url = f"sqlite:///{self._path}"
        if engine == "postgres":
            self._postgres = request.getfixturevalue("postgres")
            url = self._postgres.fresh()
        self._url, self._auth_url = url, auth_url
        self.serving = self.node("serving", *SERVE, "--role", "web")

    def node(self, name: str, *words: str) -> ServerProcess:
        folder = self._folder / name
        folder.mkdir()
        settings: dict[str, Any] = {"store__url": self._url, "limits__requests_per_second": 1_000_000}
        return ServerProcess(folder, auth_url=self._auth_url, program=words, **settings)

    def run(self, sql: str) -> list[int]:
        """The numbers of the first row."""
        if self._postgres is not None:
            found = self._postgres.run(sql.format(schema="pns."), self._url)
            return [int(number or 0) for number in found[0].split("|")] if found else []
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            row = connection.execute(sql.format(schema="")).fetchone()
            return [int(number or 0) for number in row or ()]


def _item(id: str, at: datetime) -> dict[str, str]:
    return {"notification_data": id, "notification_id": id, "deliver_date": at.isoformat()}


async def _ids(backend: Backend, user: str, **asked: Any) -> list[str]:
    found: list[str] = []
    while page := await backend.inbox(user, limit=100, **asked, **({"after": found[-1]} if found else {})):
        found += [item["notification_id"] for item in page]
    return found


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_kill_9_in_the_middle_of_a_delivery(
    engine: str, application: HostApplication, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each node delivers a step and dies in its second. The next one goes on where it stood."""
    nodes = Nodes(tmp_path, engine, application.url, request)
    due, far, tomorrow = 3 * STEP + 50, 30, datetime.now(UTC) + timedelta(days=1)
    names = [f"due-{number:03}" for number in range(due)] + [f"far-{number:03}" for number in range(far)]
    of = {user: names[index :: len(USERS)] for index, user in enumerate(USERS)}
    async with nodes.serving as serving, serving.backend() as backend:
        for user, ids in of.items():
            for first in range(0, len(ids), 100):
                await backend.notify(user, *(_item(id, tomorrow) for id in ids[first : first + 100]))
        assert nodes.run(MOVED) == [0, due + far, 0, 0]
        nodes.run(PASS)
        delivered = 0
        for moment in MOMENTS:
            async with nodes.node(moment, *program(moment)) as node:
                assert node.process is not None
                assert await asyncio.to_thread(node.process.wait, 30) == -signal.SIGKILL
            delivered += 2 * STEP if moment == "committed" else STEP
            assert nodes.run(MOVED) == [delivered, due + far - delivered, delivered, delivered]
        async with nodes.node("whole", *SERVE):
            await eventually(lambda: nodes.run(MOVED)[1] == far)
            await asyncio.gather(*(_is_whole(backend, user, ids) for user, ids in of.items()))
        assert nodes.run(MOVED) == [due, far, due, due]


async def _is_whole(backend: Backend, user: str, ids: list[str]) -> None:
    came, waits = [id for id in ids if id < "far"], [id for id in ids if id > "far"]
    assert await _ids(backend, user) == came
    assert await _ids(backend, user, pending="true") == waits
    assert (await backend.user(user))["unseen"] == len(came)


# ── for long ──────────────────────────────────────────────────────────────────────────────────────────

KILLS = 60
WAITING = 3_000
LONG_USERS = tuple(f"user-{number}" for number in range(40))
SURE_SECONDS = 10
"""What is due later than that is still pending when it is taken back."""


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_kill_9_for_long(
    engine: str, application: HostApplication, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Two nodes that deliver, killed at random, while the application takes back what came and what waits."""
    nodes = Nodes(tmp_path, engine, application.url, request)
    async with nodes.serving as serving, serving.backend() as backend:
        ordeal = Ordeal(backend)
        await ordeal.notify()
        deliverers = [nodes.node(f"deliverer {number}", *SERVE) for number in range(2)]
        try:
            for deliverer in deliverers:
                await deliverer.start()
            for turn in range(KILLS):
                await asyncio.sleep(ordeal.chance.random() * 1.5)
                await deliverers[turn % 2].kill()
                await ordeal.look()
                await deliverers[turn % 2].start()
            await eventually(lambda: nodes.run(MOVED)[1] == 0, within=120)
        finally:
            for deliverer in deliverers:
                await deliverer.kill()
        await ordeal.settle()
    came = WAITING - len(ordeal.taken_back)
    left = came - len(ordeal.withdrawn)
    assert nodes.run(MOVED) == [left, 0, came, left]
    print(
        f"{KILLS} kills, {came} delivered once each, none early; {len(ordeal.taken_back)} taken back before"
    )


class Ordeal:
    """The application: what it has for its users, and what it took back."""

    def __init__(self, backend: Backend) -> None:
        self.chance = random.Random(7)
        self.taken_back: set[str] = set()
        self.withdrawn: set[str] = set()
        self._backend = backend
        self._due: dict[str, float] = {}
        self._of: dict[str, str] = {}

    async def notify(self) -> None:
        """All that waits, due within the next minutes."""
        for number in range(WAITING // 100):
            user, begin = LONG_USERS[number % len(LONG_USERS)], time.time() + 5
            due = {f"{number}-{each:03}": begin + self.chance.random() * 60 for each in range(100)}
            items = (_item(id, datetime.fromtimestamp(at, UTC)) for id, at in due.items())
            self._of |= dict.fromkeys(await self._backend.notify(user, *items), user)
            self._due |= due

    async def look(self) -> None:
        """Nothing came too early, nothing that was taken back is there; two more are taken back."""
        user = self.chance.choice([*self._of.values()])
        came = set(await _ids(self._backend, user))
        waits = set(await _ids(self._backend, user, pending="true"))
        now = time.time()
        assert [id for id in came if self._due[id] > now] == []
        assert (came | waits) & (self.taken_back | self.withdrawn) == set()
        sure = {id for id in waits if self._due[id] > now + SURE_SECONDS}
        for some, gone in ((came, self.withdrawn), (sure, self.taken_back)):
            if some:
                await self._take_back(self.chance.choice(sorted(some)), gone)

    async def _take_back(self, id: str, gone: set[str]) -> None:
        answer = await self._backend.http.delete(f"/users/{self._of[id]}/notifications/{id}")
        assert answer.status_code == 204
        gone.add(id)

    async def settle(self) -> None:
        """Every inbox has all that was due and was not taken back, each in its place."""
        for user in LONG_USERS:
            wanted = {id for id, whose in self._of.items() if whose == user}
            found = await _ids(self._backend, user)
            assert len(found) == len(set(found))
            assert set(found) == wanted - self.taken_back - self.withdrawn
