"""The signals that end a process, heard beside the server that handles them.

A host's server tells of its end only when every answer is complete, and an event stream is complete when PNS
ends the stream. So PNS hears the signal itself. The handler from before gets every signal as well. Where no
handler was set, PNS sets none: the signal keeps its effect.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

_HEARD = (signal.SIGTERM, signal.SIGINT)

Before = Callable[[int, FrameType | None], Any]


class EndSignals:
    """Runs `begin` in the event loop at the first signal.

    Python handles signals in the main thread alone: elsewhere `start` does nothing.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, begin: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._loop = loop
        self._begin = begin
        self._before: dict[int, Before] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Hear signals from now on. The server must have set its handlers before."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _HEARD:
            before = signal.getsignal(number)
            if callable(before):
                self._before[number] = before
                signal.signal(number, self._hear)

    async def stop(self) -> None:
        """Put the handlers from before back, and end the work of `begin`. Safe to call twice."""
        self._stopped = True
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                # A handler that was set since then, and passes signals on to this one, stays.
                if signal.getsignal(number) == self._hear:
                    signal.signal(number, before)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._stopped:
            self._loop.call_soon_threadsafe(self._heard)
        self._before[number](number, frame)

    def _heard(self) -> None:
        if self._task is None and not self._stopped:
            self._task = self._loop.create_task(self._begin(), name="pns end")
