"""A loop that runs a tick again and again: the lifecycle of all work in the background.

`wake` ends the pause between two ticks. `stop` returns after the loop has ended. `stop` may be called twice,
and before `start`. A tick that raises is logged and counted, and the loop goes on: a background loop never
ends the node. A tick that finds the store away is only logged, once for the whole trouble.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pns.errors import StoreUnavailable, Unavailable
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)


class Looper:
    """Calls `tick` every `seconds`, measured from the end of a tick to the start of the next."""

    def __init__(
        self,
        name: str,
        tick: Callable[[], Awaitable[object]],
        *,
        every: Callable[[], float],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.name = name
        self._tick = tick
        self._every = every
        self._clock = clock
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Task[None] | None = None
        self._is_woken = False

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"pns {self.name}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])

    def wake(self) -> None:
        """Tick at once; after the tick under way, if there is one. Several calls share a tick. A call before
        `start` counts, and a call after `stop` changes nothing.
        """
        self._is_woken = True
        if self._pause is not None:
            self._pause.cancel()

    async def _rest(self, seconds: float) -> None:
        """Wait `seconds`, or until `wake`."""
        if not self._is_woken:
            self._pause = asyncio.ensure_future(self._clock.sleep(seconds))
            try:
                await asyncio.wait([self._pause])
            finally:
                self._pause.cancel()
                self._pause = None
        self._is_woken = False

    async def _run(self) -> None:
        trouble = ""
        while True:
            await self._rest(self._every())
            try:
                await self._tick()
                trouble = ""
            except Unavailable as error:
                level = logging.DEBUG if str(error) == trouble else logging.WARNING
                told = error.told if isinstance(error, StoreUnavailable) else error
                log.log(level, "a turn of the loop is put off: %s", told, extra={"loop": self.name})
                trouble = str(error)
            except Exception:
                self._metrics.loop_errors.labels(self.name).inc()
                log.exception("a turn of the loop failed", extra={"loop": self.name})
