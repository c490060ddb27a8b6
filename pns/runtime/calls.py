"""Calls of other threads into an event loop: the thread waits, the loop works.

`end` ends every wait. So a thread never waits for a stopped loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Calls:
    """The calls into one event loop. The owner must await `end` in this loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waits: dict[Future[Any], Exception] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended = False

    def wait_for(self, call: Callable[[], Coroutine[Any, Any, T]], *, ended: Exception) -> T:
        """Return the result of `call` in the event loop, or raise its error.

        Raises `ended` when `end` comes first. Never call `wait_for` in the loop's own thread.
        """
        answer: Future[T] = Future()
        with self._lock:
            if self._ended:
                raise ended
            self._waits[answer] = ended
            # Under the lock: `end` comes before or after it, and the loop is not closed before `end`.
            self._loop.call_soon_threadsafe(self._begin, call, answer)
        try:
            return answer.result()
        finally:
            with self._lock:
                self._waits.pop(answer, None)

    async def end(self) -> None:
        """End every wait, and cancel the work behind each wait. Safe to call twice."""
        with self._lock:
            self._ended = True
            waits, self._waits = self._waits, {}
        for answer, ended in waits.items():
            if not answer.done():
                answer.set_exception(ended)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, call: Callable[[], Coroutine[Any, Any, T]], answer: Future[T]) -> None:
        if answer.done():
            return
        task = self._loop.create_task(call())
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, answer))

    def _finish(self, answer: Future[T], task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if answer.done():
            return
        if task.cancelled():
            answer.cancel()
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread, if one runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
