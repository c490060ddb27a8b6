"""Load with a memory: writers and devices at a server that may die at any moment, and the check of what is
left.

Every notification's data is unique, so that a doubled one is seen whoever made its id.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
from websockets.exceptions import WebSocketException

from tests.harness.backend import Backend
from tests.harness.device import Device
from tests.harness.server import ServerProcess

USERS = ("ann", "bob", "eve", "joe")
WRITERS = 8


@dataclass
class Batch:
    """One request. `answer`: the ids of a 200 or 201, [] for a refusal, None where there was no answer."""

    user: str
    items: list[dict[str, str]]
    answer: list[str] | None = None

    @property
    def data(self) -> set[str]:
        return {item["notification_data"] for item in self.items}

    @property
    def repeatable(self) -> bool:
        return all("notification_id" in item for item in self.items)


class Storm:
    """What was asked of one server over all its lives."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self.batches: list[Batch] = []
        self.acknowledged = 0
        self.marked = 0
        self._server = server
        self._random = random.Random(seed)
        self._progress = asyncio.Event()
        self._serial = 0

    async def rage(self, *, requests: int, end: Any) -> None:
        """Write and read until `requests` more were acknowledged, then await `end()` under full load."""
        enough = self.acknowledged + requests
        async with asyncio.TaskGroup() as tasks:
            load = [tasks.create_task(self._write()) for _ in range(WRITERS)]
            load += [tasks.create_task(self._see(user, ack=user < "c")) for user in USERS]
            async with asyncio.timeout(30):
                while self.acknowledged < enough:
                    self._progress.clear()
                    await self._progress.wait()
            await end()
            for task in load[WRITERS:]:
                task.cancel()

    async def check(self) -> None:
        """Nothing acknowledged is lost, nothing is doubled, nothing refused is there; the counts are true."""
        async with self._server.backend() as backend:
            for user in USERS:
                rows = await _inbox(backend, user)
                data = [row["notification_data"] for row in rows]
                assert len(set(data)) == len(data), "doubled"
                assert len({row["notification_id"] for row in rows}) == len(rows)
                self._compare(user, {row["notification_data"]: row["notification_id"] for row in rows})
                unseen = sum(row["seen_date"] is None for row in rows)
                assert (await backend.user(user))["unseen"] == unseen

    async def repeat(self) -> None:
        """Send again what had no answer and names its ids, and some of what had: the same ids, no new row."""
        unsure = [batch for batch in self.batches if batch.answer is None and batch.repeatable]
        sure = [batch for batch in self.batches if batch.answer and batch.repeatable]
        async with self._server.backend() as backend:
            for batch in unsure + self._random.sample(sure, min(10, len(sure))):
                first = batch.answer is None
                status, ids = await _post(backend, batch)
                assert status in ((200, 201) if first else (200,))
                assert ids == [item["notification_id"] for item in batch.items]
                batch.answer = ids

    def _compare(self, user: str, rows: dict[str, str]) -> None:
        mine = [batch for batch in self.batches if batch.user == user]
        assert rows.keys() <= set().union(*(batch.data for batch in mine)), "never sent"
        for batch in mine:
            there = batch.data & rows.keys()
            if batch.answer:
                ids = [rows.get(item["notification_data"]) for item in batch.items]
                assert ids == batch.answer, "lost"
            elif batch.answer is None:
                assert there in (set(), batch.data), "half of a request"
            else:
                assert not there, "refused, and stored"

    async def _write(self) -> None:
        async with self._server.backend() as backend:
            while True:
                batch = self._batch()
                self.batches.append(batch)
                try:
                    _, batch.answer = await _post(backend, batch)
                except httpx.HTTPError:
                    return
                self.acknowledged += bool(batch.answer)
                self._progress.set()
                if not batch.answer:
                    return

    def _batch(self) -> Batch:
        size = self._random.choice((1, 1, 1, 7, 30))
        named = self._random.random() < 0.5
        items = []
        for serial in range(self._serial, self._serial + size):
            item = {"notification_data": f"notification {serial}"}
            items.append(item | ({"notification_id": f"n-{serial}"} if named else {}))
        self._serial += size
        return Batch(self._random.choice(USERS), items)

    async def _see(self, user: str, *, ack: bool) -> None:
        """A device that marks what it is shown, until the line breaks."""
        try:
            async with Device.connect(self._server.url, user) as device:
                while True:
                    items = await device.unseen(limit=20, **({"ack": True} if ack else {}))
                    self.marked += len(items)
                    if not items:
                        await device.receive()
                    elif ack:
                        last = items[-1]["notification_id"]
                        await device.send({"notificationDataSeen": {"upTo": last}})
        except (OSError, WebSocketException, TimeoutError):
            return


async def _post(backend: Backend, batch: Batch) -> tuple[int, list[str]]:
    body = {"user_id": batch.user, "notifications": batch.items}
    response = await backend.http.post("/notify", json=body)
    if response.status_code in (200, 201):
        ids: list[str] = response.json()["notification_ids"]
        return response.status_code, ids
    assert response.status_code == 503, response.text
    return 503, []


async def _inbox(backend: Backend, user: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while page := await backend.inbox(user, after=rows[-1]["notification_id"] if rows else ""):
        rows += page
    return rows
