"""The server dies at any moment, again and again, under load: what it acknowledged is there, once."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.harness import HostApplication, ServerProcess
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


@pytest.mark.timeout(300)
async def test_kill_9_loses_and_doubles_nothing(server: ServerProcess) -> None:
    storm = await _survives(server, ends=4, end=signal.SIGKILL, seed=1)
    assert any(batch.answer is None for batch in storm.batches), "no kill came while a request was under way"


async def test_a_restart_loses_and_doubles_nothing(server: ServerProcess) -> None:
    await _survives(server, ends=3, end=signal.SIGTERM, seed=2)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_kill_9_for_long(server: ServerProcess) -> None:
    await _survives(server, ends=60, end=signal.SIGKILL, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_restarts_for_long(server: ServerProcess) -> None:
    await _survives(server, ends=20, end=signal.SIGTERM, seed=4)
