"""The life of a PNS inside a host application: who starts the node, in which event loop, and who ends it.

The host starts PNS by a lifespan or by `async with`. Some servers send no lifespan, such as Daphne and
`uvicorn --lifespan off`: then the first request starts PNS. Such a server does not tell of its end either.
The event loop ends a late life, where the loop itself ends in order (`asyncio.Runner`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import NamedTuple

from pns.errors import NotStarted, PNSError
from pns.node import Node
from pns.runtime.calls import Calls
from pns.runtime.clock import Clock
from pns.runtime.end_signals import EndSignals
from pns.runtime.process_end import at_end_of_process
from pns.runtime.quiet_log import QuietLog
from pns.web.app import Web

log = logging.getLogger(__name__)

_COSTS = (
    "the server sends no lifespan, so PNS started at the first request: nothing was pushed, spread or "
    "removed before, and nobody tells PNS of the end. A server with lifespans, such as uvicorn with "
    "--lifespan on, hypercorn or granian, starts and ends PNS in order"
)


class Running(NamedTuple):
    """The parts of a PNS that was entered, all in one event loop."""

    node: Node
    web: Web
    loop: asyncio.AbstractEventLoop
    calls: Calls
    signals: EndSignals


class Life:
    """`compose` makes the parts anew for each start."""

    def __init__(self, compose: Callable[[], tuple[Node, Web]], *, clock: Clock) -> None:
        self._compose = compose
        self._running: Running | None = None
        self._is_begun_by_host = False
        self._late: AbstractAsyncContextManager[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._failures = QuietLog(log, clock=clock)
        self._costs_are_told = False

    @property
    def running(self) -> Running:
        """The parts, from the end of the start to the end of PNS. Raises NotStarted before and after."""
        running = self._running
        if running is None or not (running.node.started or running.node.draining):
            raise NotStarted
        return running

    @property
    def is_late(self) -> bool:
        """Whether a request has started PNS, or has tried to."""
        return self._late is not None

    async def begin(self) -> None:
        """Start, because the host says so. Must be followed by `end`. Raises PNSError for a running PNS."""
        self._is_begun_by_host = True
        await self._start()

    async def end(self) -> None:
        """Stop. Safe to call twice, and before `begin`."""
        running = self._running
        if running is None:
            return
        try:
            await running.signals.stop()
            await running.node.__aexit__(None, None, None)
        finally:
            # Not before: a caller in the meantime is told that this node is going down.
            self._running = None
            await running.calls.end()

    async def begin_late(self) -> None:
        """Start at a request, unless the host has begun. Simultaneous requests share one start.

        Returns when PNS has started, or cannot start. The log has the reason; the next request tries again.
        """
        if self._starting is None or self._starting.done():
            if self._running is not None or self._is_begun_by_host:
                return
            self._starting = asyncio.create_task(self._start_late(), name="pns late start")
        # A request that is cancelled must not end the start of the others.
        await asyncio.shield(self._starting)

    async def _start_late(self) -> None:
        # Kept: a generator that nobody holds is ended at once.
        self._late = self._until_the_loop_ends()
        try:
            await self._late.__aenter__()
        except Exception as error:
            trace = None if isinstance(error, PNSError) else error
            told = f"PNS cannot start at the first request: {error}"
            self._failures.write("start", told, level=logging.ERROR, error=trace)
            return
        if not self._costs_are_told:
            self._costs_are_told = True
            at_end_of_process(self.end, loop_of=lambda: self._running.loop if self._running else None)
            log.warning(_COSTS)

    @asynccontextmanager
    async def _until_the_loop_ends(self) -> AsyncIterator[None]:
        """A loop that ends in order ends its asynchronous generators."""
        await self._start()
        try:
            yield
        finally:
            await self.end()

    async def _start(self) -> None:
        if self._running is not None:
            raise PNSError("this PNS runs already: enter it once, in one place")
        node, web = self._compose()
        loop = asyncio.get_running_loop()
        signals = EndSignals(loop, partial(node.drain, 0))
        self._running = Running(node, web, loop, Calls(loop), signals)
        try:
            await node.__aenter__()
        except BaseException:
            self._running = None
            raise
        signals.start()
