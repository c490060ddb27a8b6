"""Work that goes on to its end when its caller has gone: the steps that must follow a commit follow the
commit.

Each call costs a task, so this is for rare work. For frequent work see `Committed` in pns/contracts/store.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0
"""How long `stop` waits for work that is under way."""

T = TypeVar("T")


class Shielded:
    """Owns the tasks of such work. You must call `stop` before you stop the things that the work uses."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, or raise its exception. Cancelling this call cancels no `work`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def stop(self) -> None:
        """Return when all work has ended. Work that takes longer than STOP_SECONDS is cancelled.

        Safe to call twice.
        """
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("work went on when its caller had gone, and failed: %s", error)
