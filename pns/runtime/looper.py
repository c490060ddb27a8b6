"""A loop that runs a tick again and again: the lifecycle of all work in the background.

`stop` returns after the loop has ended. `stop` may be called twice, and before `start`. A tick that raises is
logged and counted, and the loop goes on: a background loop never ends the node. A tick that finds the store
away is only logged, once for the whole trouble.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pns.errors import Unavailable
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

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"pns {self.name}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])

    async def _run(self) -> None:
        trouble = ""
        while True:
            await self._clock.sleep(self._every())
            try:
                await self._tick()
                trouble = ""
            except Unavailable as error:
                level = logging.DEBUG if str(error) == trouble else logging.WARNING
                log.log(level, "a turn of the loop is put off: %s", error, extra={"loop": self.name})
                trouble = str(error)
            except Exception:
                self._metrics.loop_errors.labels(self.name).inc()
                log.exception("a turn of the loop failed", extra={"loop": self.name})
