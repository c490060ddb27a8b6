"""Load on a fleet, with a memory: what was acknowledged, what was refused and when, what devices were told.

Every notification has an id of its own, and is sent until it is acknowledged, each time through any node.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import count
from types import TracebackType
from typing import NamedTuple, Self
from uuid import uuid4

import httpx2 as httpx

from tests.fleet.fleet import HEARTBEAT_SECONDS, Fleet
from tests.fleet.viewers import Seer, Watcher
from tests.harness import Backend

WATCHED, SEEN = 3, 2
"""Users whose count only rises, and users with devices that see."""
WRITERS = 4
PACE_SECONDS = 0.03
SLACK_SECONDS = 4.0
"""What a busy machine may add to what PNS promises."""
SETTLE_SECONDS = 20.0


class Refusal(NamedTuple):
    """A 503: when the request was sent, and when answered."""

    sent: float
    answered: float


class Load:
    """Runs as `async with`: devices of all users on all nodes, and writers through all nodes."""

    def __init__(self, fleet: Fleet) -> None:
        name = uuid4().hex[:8]
        self.quiet = f"quiet-{name}"
        """Also watched, and notified by `whisper` alone."""
        self.watched = [*(f"watched-{name}-{number}" for number in range(WATCHED)), self.quiet]
        self.seen = [f"seen-{name}-{number}" for number in range(SEEN)]
        self.sent: dict[str, dict[str, str]] = {user: {} for user in (*self.watched, *self.seen)}
        """By user, the data of each notification by its id."""
        self.acknowledged = 0
        self.refusals: list[Refusal] = []
        self.unanswered = 0
        self._fleet = fleet
        self._name = name
        self._news = asyncio.Event()
        self._numbers = count()
        self._ending = False
        self._stack = AsyncExitStack()
        self._backends: list[Backend] = []
        self.watchers = [Watcher(self._urls(n), user, self._news.set) for user in self.sent for n in range(3)]
        self.seers = [
            Seer(self._urls(n), user, self._news.set, ack=n == 1) for user in self.seen for n in (1, 2)
        ]

    def _urls(self, first: int) -> list[str]:
        urls = [node.url for node in self._fleet.nodes]
        return urls[first:] + urls[:first]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for node in self._fleet.nodes:
                self._backends.append(await stack.enter_async_context(node.backend()))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            viewers = [tasks.create_task(viewer.run()) for viewer in (*self.watchers, *self.seers)]
            self._writers = [tasks.create_task(self._write()) for _ in range(WRITERS)]
            for task in (*viewers, *self._writers):
                stack.callback(task.cancel)
            await self.until(lambda: all(v.count >= 0 for v in (*self.watchers, *self.seers)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def __str__(self) -> str:
        refused, unanswered = len(self.refusals), self.unanswered
        return f"{self.acknowledged} acknowledged, {refused} refused, {unanswered} unanswered"

    # ── what a test waits for ─────────────────────────────────────────────────────────────────────────

    async def until(self, condition: Callable[[], bool], within: float = SETTLE_SECONDS) -> float:
        """Return when `condition` is true, looked at after each event; the seconds that it took."""
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(within):
            while not condition():
                self._news.clear()
                await self._news.wait()
        return asyncio.get_running_loop().time() - began

    async def goes_on(self, requests: int = 40) -> None:
        """Return when so many requests more were acknowledged."""
        enough = self.acknowledged + requests
        await self.until(lambda: self.acknowledged >= enough)

    async def whisper(self) -> None:
        """Notify the quiet user through the first node: the others learn of it by the bus, or a heartbeat."""
        async with asyncio.timeout(SETTLE_SECONDS):
            await self._send(self.quiet, 1, self._backends[:1])

    async def catches_up(self) -> float:
        """Return when every watched count is what the store has now, or newer; the seconds that it took.

        Raises TimeoutError when a device is later than PNS promises.
        """
        truth = await self._fleet.counts()
        watchers = [watcher for watcher in self.watchers if watcher.user in self.watched]
        return await self.until(
            lambda: all(watcher.count >= truth.get(watcher.user, 0) for watcher in watchers),
            HEARTBEAT_SECONDS + SLACK_SECONDS,
        )

    async def settles(self) -> float:
        """Stop writing, and return when every device of all users shows the true count."""
        self._ending = True
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.wait(self._writers)
        truth = {user: len(self.sent[user]) if user in self.watched else 0 for user in self.sent}
        viewers = [*self.watchers, *self.seers]
        return await self.until(lambda: all(viewer.count == truth[viewer.user] for viewer in viewers))

    # ── what must be true in the end ──────────────────────────────────────────────────────────────────

    async def check(self) -> None:
        """Nothing is lost, doubled or made up, in any inbox; no count ever went backwards."""
        for user, sent in self.sent.items():
            rows = await self._inbox(self._backends[0], user)
            assert len(rows) == len(sent)
            assert dict(rows) == sent
        for watcher in self.watchers:
            if watcher.user in self.watched:
                assert all(counts == sorted(counts) for counts in watcher.lives), watcher.lives

    async def nobody_left(self) -> None:
        """No connection was lost, nor any request; so everything was shown to somebody."""
        assert not self.unanswered
        assert all(len(viewer.lives) == 1 for viewer in (*self.watchers, *self.seers))
        await self.until(lambda: all(self._shown(user) == self.sent[user].keys() for user in self.seen))

    def _shown(self, user: str) -> set[str]:
        return set().union(*(seer.shown for seer in self.seers if seer.user == user))

    async def _inbox(self, backend: Backend, user: str) -> list[tuple[str, str]]:
        rows: list[tuple[str, str]] = []
        while page := await backend.inbox(user, after=rows[-1][0] if rows else ""):
            rows += [(row["notification_id"], row["notification_data"]) for row in page]
        return rows

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    async def _write(self) -> None:
        users = [user for user in self.sent if user != self.quiet]
        while not self._ending:
            await self._send(random.choice(users), random.choice((1, 1, 1, 5)), self._backends)

    async def _send(self, user: str, count: int, backends: Sequence[Backend]) -> None:
        """Send `count` notifications until they are acknowledged, then rest."""
        ids = [f"{self._name}-{next(self._numbers)}" for _ in range(count)]
        self.sent[user] |= {id: f"data of {id}" for id in ids}
        acknowledged = False
        while not acknowledged:
            acknowledged = await self._notify(random.choice(backends), user, ids)
            await asyncio.sleep(PACE_SECONDS)

    async def _notify(self, backend: Backend, user: str, ids: list[str]) -> bool:
        """Whether it was acknowledged."""
        items = [{"notification_id": id, "notification_data": self.sent[user][id]} for id in ids]
        now = asyncio.get_running_loop().time
        sent = now()
        try:
            answer = await backend.http.post("/notify", json={"user_id": user, "notifications": items})
        except httpx.HTTPError:
            self.unanswered += 1
            return False
        if answer.status_code == 503:
            self.refusals.append(Refusal(sent, now()))
            return False
        assert answer.status_code in (200, 201), answer.text
        assert answer.json()["notification_ids"] == ids
        self.acknowledged += 1
        self._news.set()
        return True
