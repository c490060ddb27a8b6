"""The server dies at any moment, again and again, under load: what it acknowledged is there, once."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Device, HostApplication, ServerProcess, eventually
from tests.harness.storm import Storm

READY_SECONDS = 15.0
"""Generous: on an idle machine it is one, most of it Python's imports."""


@pytest.fixture
async def server(application: HostApplication, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    # the devices of a storm ask all the time
    limits: dict[str, Any] = {"limits__requests_per_second": 1_000_000}
    async with ServerProcess(tmp_path, auth_url=application.url, **limits) as server:
        yield server


async def _survives(server: ServerProcess, *, ends: int, end: signal.Signals, seed: int) -> Storm:
    storm, chance = Storm(server, seed), random.Random(seed)

    async def die() -> None:
        code = await server.stop(end)
        assert code == (0 if end is signal.SIGTERM else -signal.SIGKILL)

    for _ in range(ends):
        await storm.rage(requests=chance.randint(1, 250), end=die)
        await server.start(ready_within=READY_SECONDS)
        await storm.check()
        await storm.repeat()
    await storm.check()
    with closing(sqlite3.connect(server.store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert storm.acknowledged > 20 * ends
    assert storm.marked > 0
    return storm


async def test_kill_9_loses_and_doubles_nothing(server: ServerProcess) -> None:
    storm = await _survives(server, ends=3, end=signal.SIGKILL, seed=1)
    assert any(batch.answer is None for batch in storm.batches), "no kill came while a request was under way"


async def test_a_restart_loses_and_doubles_nothing(server: ServerProcess) -> None:
    await _survives(server, ends=2, end=signal.SIGTERM, seed=2)


MANY = 6_000
"""Users who have a publication: taking it back is some 60 steps."""
READ_IT = 7
"""Every user with a key that this number divides has seen it."""
SPREAD = f"""
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {MANY})
INSERT INTO users (user_id, last_seq, unseen, version, seen_unread)
SELECT 'user ' || n, 1, n % {READ_IT} > 0, 1, 0 FROM n;
INSERT INTO notifications (user_key, seq, notification_id, data, create_date, seen_date, category)
SELECT user_key, 1, 'p', 'x', 1, CASE WHEN unseen = 0 THEN 1 END, 'c' FROM users;
INSERT INTO publications
  (publication_id, audience, content, create_date, after_key, reached, due_at, end_date)
SELECT 'p', 'everybody', '[[{{"notification_data":"x","notification_id":"p"}}],{{"origin":"EXPLICIT"}}]',
  1, {MANY}, {MANY}, 1, 9e15;
"""


async def test_a_kill_while_a_publication_is_taken_back(server: ServerProcess) -> None:
    """Each kill is in the middle; the next start goes on where it stood, as if the lease had ended."""
    _sql(server, SPREAD)
    async with server.backend() as backend:
        assert (await backend.http.delete("/publications/p")).status_code == 202
    unseen = MANY - MANY // READ_IT
    for kills in range(3):
        with _looking(server, "SELECT taken_back FROM publications") as taken:
            await eventually(lambda: taken() > kills * unseen // 4, within=90, every=0.005)  # noqa: B023
        await server.stop(signal.SIGKILL)
        (before,) = _sql(
            server,
            "SELECT taken_back, (SELECT count(*) FROM notifications), taken_back_date FROM publications",
        )
        assert before[0] + before[1] == MANY, "a step and its progress are one"
        assert before[2] is None, "the kill is in the middle"
        _sql(server, LEASE_ENDS)
        await server.start(ready_within=READY_SECONDS)
    with _looking(server, "SELECT taken_back_date FROM publications") as ended:
        await eventually(lambda: ended() is not None, within=90)
    assert _sql(server, "SELECT taken_back FROM publications") == [(unseen,)]
    numbers = "SELECT sum(unseen), (SELECT sum(unread) FROM category_counts), count(*) FROM users"
    assert _sql(server, numbers) == [(0, None, MANY)]
    assert _sql(server, "SELECT count(*), min(seen_date) FROM notifications") == [(MANY // READ_IT, 1)]


REGISTERED = 6_000
"""Users with a push device, whom an announcement reaches in some 60 steps. Ten more have none."""
KNOWN = f"""
WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {REGISTERED + 10})
INSERT INTO users (user_id, last_seq, unseen, version) SELECT 'user-' || n, 0, 0, 0 FROM n;
INSERT INTO devices
  (device_id, user_key, network, gateway, address, address_hash, keys, app, environment, platform,
   registered_at)
SELECT 'device ' || user_key, user_key, 'mqtt', 'broker', '', 'hash ' || user_key, '', '', '', '', 1
FROM users WHERE user_key <= {REGISTERED};
"""
TO_ALL = {
    "publication_id": "p",
    "notifications": [{"notification_data": "first"}, {"notification_data": "second"}],
}


async def test_a_kill_in_the_middle_of_an_announcement(server: ServerProcess) -> None:
    """What was answered with 202 comes to everybody once: at once, on the way, or when they come."""
    _sql(server, KNOWN)
    connected, silent, nobody = f"user-{REGISTERED + 1}", f"user-{REGISTERED + 2}", "new"
    async with server.backend() as backend:
        async with Device.connect(server.url, connected) as device, Device.connect(server.url, "user-1"):
            assert await device.count() == 0
            assert (await backend.http.post("/broadcast", json=TO_ALL)).status_code == 202
            await server.stop(signal.SIGKILL)
        first = _reached(server)
        await server.start(ready_within=READY_SECONDS)
        _sql(server, LEASE_ENDS)
        with _looking(server, REACHED) as reached:
            await eventually(lambda: reached() > first + REGISTERED // 4, every=0.002)
        await server.stop(signal.SIGKILL)
        assert first < _reached(server) < REGISTERED, "the second kill is in the middle"
        await server.start(ready_within=READY_SECONDS)
        _sql(server, LEASE_ENDS)
        await eventually(lambda: backend.is_spread("p"))
        assert _reached(server) >= REGISTERED

        assert (await backend.http.post("/broadcast", json=TO_ALL)).status_code == 202
        for user in (connected, "user-1", f"user-{REGISTERED}", silent):
            async with Device.connect(server.url, user) as device:
                assert await device.count() == 2
                assert [one["notification_id"] for one in await device.unseen(ack=True)] == ["p.0", "p.1"]
        async with Device.connect(server.url, nobody) as device:
            assert await device.count() == 0
    _reached(server)


REACHED = "SELECT reached FROM publications"
LEASE_ENDS = "UPDATE publications SET due_at = 1"


def _reached(server: ServerProcess) -> int:
    """How many users have the announcement; each has all of it, once."""
    numbers = f"SELECT ({REACHED}), count(*), sum(unseen = 2 AND last_seq = 2) FROM users"
    (reached, level, numbered) = _sql(server, f"{numbers} WHERE last_seq > 0")[0]
    assert (reached, level) == (level, numbered or 0), "a step and its progress are one"
    assert _sql(server, "SELECT count(*) FROM notifications") == [(2 * level,)]
    return int(reached)


@contextmanager
def _looking(server: ServerProcess, question: str) -> Iterator[Callable[[], Any]]:
    """Asks for one number, again and again. A connection for each look would cost a core of both."""
    with closing(sqlite3.connect(server.store, timeout=30, isolation_level=None)) as connection:
        yield lambda: connection.execute(question).fetchone()[0]


def _sql(server: ServerProcess, text: str) -> list[Any]:
    with closing(sqlite3.connect(server.store, timeout=30)) as connection, connection:
        parts = text.split(";")
        return [row for part in parts for row in connection.execute(part).fetchall()]


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_kill_9_for_long(server: ServerProcess) -> None:
    await _survives(server, ends=60, end=signal.SIGKILL, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_restarts_for_long(server: ServerProcess) -> None:
    await _survives(server, ends=20, end=signal.SIGTERM, seed=4)
