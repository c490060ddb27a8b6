"""Every 201 follows a completed fdatasync of the write-ahead log that covers it: the real server's own calls.

kill -9 cannot show this, since what was written survives it without any sync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import HostApplication, ServerProcess, eventually
from tests.harness.syscalls import Verdict, command, examine, is_complete

CLIENTS = 16


async def _observe(application: HostApplication, folder: Path, *, entry: list[str], answers: int) -> Verdict:
    trace = folder / "trace"
    server = ServerProcess(folder, auth_url=application.url, command=command(trace, entry=entry))
    async with server:
        numbers = iter(range(answers))
        await asyncio.gather(*(_notify(server, numbers) for _ in range(CLIENTS)))
        await server.stop()
    await eventually(lambda: is_complete(trace, server.pid))
    verdict = await asyncio.to_thread(examine, trace)
    assert len(verdict.answered) == answers, "some answers were not found among the calls"
    return verdict


async def _notify(server: ServerProcess, numbers: Iterator[int]) -> None:
    async with server.backend() as backend:
        for number in numbers:
            item = {"notification_id": f"id-{number:06}", "notification_data": "x"}
            body = {"user_id": f"user-{number % 7}", "notifications": [item]}
            assert (await backend.http.post("/notify", json=body)).status_code == 201


@pytest.mark.parametrize("answers", [400, pytest.param(4_000, marks=pytest.mark.soak)])
async def test_every_201_follows_the_sync_that_covers_it(
    application: HostApplication, tmp_path: Path, answers: int
) -> None:
    verdict = await _observe(application, tmp_path, entry=["pns.ops.cli", "serve"], answers=answers)
    assert verdict.early == set()
    assert verdict.commits < answers, "nothing was committed together, so this did not test group commit"


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
async def test_a_store_that_syncs_less_is_caught(
    application: HostApplication, tmp_path: Path, synchronous: str
) -> None:
    entry = ["tests.harness.unsynced", synchronous, "serve"]
    verdict = await _observe(application, tmp_path, entry=entry, answers=50)
    assert verdict.early
