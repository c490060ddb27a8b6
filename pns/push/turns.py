"""The turns of a dispatcher: a turn settles answers, claims due work, and names the time of the next turn.

A turn with an error is logged and counted, and the turns go on. While the store is away, a turn is only
logged, once for the whole trouble.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pns.errors import Unavailable
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

GATHER_SECONDS = 0.01
"""At least, from a turn to the next: a turn costs two commits, and much can share a turn."""
MOST_REST_SECONDS = 10.0
"""A turn that took longer stood still, with the machine or the store, and has left others their time."""
AWAY_SECONDS = 2.0
CLAIM_SECONDS = 15.0
"""For a claim under way at the end. A store gives a claim two turns of five seconds: the commit before the
claim's, and the claim's own."""


async def end_all(sendings: set[asyncio.Task[None]], *, within: float) -> None:
    """Let `sendings` end within so many seconds, and cancel the others. Each takes itself out at its end."""
    if sendings:
        await asyncio.wait(sendings, timeout=within)
    for sending in sendings:
        sending.cancel()
    if sendings:
        await asyncio.wait(sendings)


class Turns:
    """Calls `turn` again and again. Waits in between for the seconds that `turn` returns, or for `news`."""

    def __init__(
        self,
        name: str,
        turn: Callable[[], Awaitable[float]],
        *,
        away: Callable[[int, Unavailable], object],
        clock: Clock,
        metrics: Metrics,
        rest: float = 0.0,
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`away` writes into the log, at a level, that the store is away. `rest`: the least pause after a
        turn without an error, in times that the turn took, up to MOST_REST_SECONDS. `extra`: the place of the
        work.
        """
        self.news = asyncio.Event()
        self._name = name
        self._away = away
        self._turn = turn
        self._clock = clock
        self._metrics = metrics
        self._rest = rest
        self._extra = dict(extra)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self.news = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name=f"pns {self._name}")

    async def stop(self) -> bool:
        """Return after the last turn has ended; False without a start before. Safe to call twice."""
        task, self._task = self._task, None
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def _run(self) -> None:
        trouble = ""
        while True:
            begin, least = self._clock.monotonic(), GATHER_SECONDS
            try:
                pause = await self._turn()
                rest = self._rest * (self._clock.monotonic() - begin)
                least = max(least, min(rest, MOST_REST_SECONDS))
                trouble = ""
            except Unavailable as error:
                level = logging.DEBUG if str(error) == trouble else logging.WARNING
                self._away(level, error)
                pause, trouble = AWAY_SECONDS, str(error)
            except Exception:
                self._metrics.loop_errors.labels(self._name).inc()
                log.exception("a turn of the dispatcher failed", extra=self._extra)
                pause = AWAY_SECONDS
            if pause:
                await self._pause(pause, least=least)

    async def _pause(self, seconds: float, *, least: float) -> None:
        """Wait `least`, then until `seconds` have passed or `news` is set."""
        await self._clock.sleep(least)
        waiting = [
            asyncio.ensure_future(self._clock.sleep(max(0.0, seconds - least))),
            asyncio.ensure_future(self.news.wait()),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
        self.news.clear()


class Claiming(Generic[T]):
    """A claim that outlives its turn. The caller must give back the leases of such a claim."""

    def __init__(self) -> None:
        self._claiming: asyncio.Task[list[T]] | None = None

    async def take(self, claim: Coroutine[Any, Any, list[T]]) -> list[T]:
        """The leases of `claim`. Cancelling this call does not cancel the claim: `rest` follows."""
        self._claiming = asyncio.ensure_future(claim)
        claimed = await asyncio.shield(self._claiming)
        self._claiming = None
        return claimed

    async def rest(self) -> list[T] | None:
        """The leases of a claim under way, after CLAIM_SECONDS at most; None if the store does not answer."""
        claiming, self._claiming = self._claiming, None
        if claiming is None:
            return []
        await asyncio.wait([claiming], timeout=CLAIM_SECONDS)
        if not claiming.done():
            claiming.cancel()
            return None
        with contextlib.suppress(asyncio.CancelledError, Exception):  # a claim that failed has leased nothing
            return claiming.result()
        return []
