"""Group commit: whatever writes wait at the same time share one commit, and each is answered for itself.

Owns the queue, the one task that empties it, and the rule which errors concern whom; knows no engine. Never
commits two batches at once, and never drops a write because its caller has gone. Says of every write that it
is durable before its caller goes on, also where the caller has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeVar

from pns.contracts.store import Committed
from pns.errors import Overloaded, StoreUnavailable
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)

COMMIT_BYTES = 8 * 2**20
"""About how much one commit may hold, so that on any disk it takes less than a store's patience."""

SMALL_WRITE = 256
"""Bytes that a write without notification data is taken for while it waits."""
MARKED_AT_ONCE = 1_000
REMOVED_AT_ONCE = 500
"""Rows of one commit where there are many to change, so that a notify never waits long behind it."""

R = TypeVar("R")
Commit = Callable[[Sequence[R]], Awaitable[Sequence[object]]]
"""Commits requests in order and returns for each its result, or the exception that undid it alone.

Raises StoreUnavailable when the engine can commit nothing, anything else when it could not commit these.
"""


class Rejected(StoreUnavailable):
    """The store refused this write. Nothing was stored; the node's log says why."""


class Unknown(StoreUnavailable):
    """The connection broke during the commit: these writes were stored, or they were not."""


@dataclass(frozen=True, slots=True)
class _Write(Generic[R]):
    request: R
    size: int
    answer: asyncio.Future[object]
    committed: Committed[Any] | None


class GroupCommit(Generic[R]):
    """One writer for many callers. `trouble` is the error of the last commit, None while commits work."""

    def __init__(self, commit: Commit[R], *, clock: Clock, metrics: Metrics, max_waiting_bytes: int) -> None:
        self.trouble: StoreUnavailable | None = None
        self._commit = commit
        self._clock = clock
        self._metrics = metrics
        self._max_bytes = max_waiting_bytes
        self._bytes = 0
        self._waiting: list[_Write[R]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to commit. Must run in the event loop that the callers use."""
        if self._task is None:
            self._wake = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="pns group commit")

    async def close(self) -> None:
        """Commit what waits, answer it, then end. Safe to call twice, and before `start`."""
        task, self._task = self._task, None
        if task is not None:
            self._wake.set()
            await asyncio.wait([task])
        waiting, self._waiting = self._waiting, []  # only if the task was cancelled from outside
        self._answer_all(waiting, StoreUnavailable("The store is closed. Nothing was stored."))

    async def write(self, request: R, *, size: int, committed: Committed[Any] | None = None) -> object:
        """Return what `commit` made of `request`, after it is durable.

        A caller that is cancelled while it waits has made its request all the same, and `committed` is called
        all the same; see pns.contracts.store.Committed. Raises Overloaded when `size` bytes more are too
        many to wait, and what `commit` raised or returned as an exception.
        """
        if self._task is None or self._task.done():
            raise StoreUnavailable("The store is not open.")
        if self._bytes and self._bytes + size > self._max_bytes:
            raise Overloaded
        write = _Write(request, size, asyncio.get_running_loop().create_future(), committed)
        self._waiting.append(write)
        self._bytes += size
        self._wake.set()
        return await write.answer

    async def _run(self) -> None:
        while self._task is not None:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._settle(self._take())

    def _take(self) -> list[_Write[R]]:
        """All that waits, or as much of it as one commit should hold."""
        if self._bytes <= COMMIT_BYTES:
            taken, self._waiting = self._waiting, []
            return taken
        ends = accumulate(write.size for write in self._waiting)
        count = max(1, sum(end <= COMMIT_BYTES for end in ends))
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _settle(self, batch: Sequence[_Write[R]]) -> bool:
        """Commit `batch` and answer it; returns whether the engine is there.

        While it is away nobody waits for it: all that waited meanwhile are told the same.
        """
        try:
            outcomes = await self._timed(batch)
        except StoreUnavailable as error:
            if isinstance(error, Rejected):
                return await self._settle_apart(batch, error)
            self._note(error)
            if isinstance(error, Unknown):
                for write in batch:
                    _tell(write, None)
            waiting, self._waiting = self._waiting, []
            self._answer_all([*batch, *waiting], error)
            return False
        except Exception as error:  # an edge: one request's fault must not end the writer
            return await self._settle_apart(batch, error)
        self._note(None)
        for write, outcome in zip(batch, outcomes, strict=True):
            self._answer(write, outcome)
        return True

    async def _settle_apart(self, batch: Sequence[_Write[R]], error: Exception) -> bool:
        """Commit each of `batch` for itself, so that the one at fault fails alone."""
        if len(batch) == 1:
            log.error("a write failed", exc_info=error)
            self._answer(batch[0], error)
            return True
        for index, write in enumerate(batch):
            if not await self._settle([write]):
                away = self.trouble or StoreUnavailable()
                self._answer_all(batch[index + 1 :], away)
                return False
        return True

    async def _timed(self, batch: Sequence[_Write[R]]) -> Sequence[object]:
        begin = self._clock.monotonic()
        outcomes = await self._commit([write.request for write in batch])
        self._metrics.commit_seconds.observe(self._clock.monotonic() - begin)
        self._metrics.commit_size.observe(len(batch))
        return outcomes

    def _note(self, trouble: StoreUnavailable | None) -> None:
        if trouble is not None and self.trouble is None:
            log.error("the store cannot be written: %s", trouble)
        elif trouble is None and self.trouble is not None:
            log.warning("the store can be written again")
        self.trouble = trouble

    def _answer_all(self, writes: Sequence[_Write[R]], error: StoreUnavailable) -> None:
        for write in writes:
            self._answer(write, StoreUnavailable(str(error)))  # one each: raising writes into it

    def _answer(self, write: _Write[R], outcome: object) -> None:
        self._bytes -= write.size
        refusal = outcome if isinstance(outcome, BaseException) else None
        if refusal is None:
            _tell(write, outcome)
        if write.answer.done():  # its caller was cancelled
            return
        if refusal is None:
            write.answer.set_result(outcome)
        else:
            write.answer.set_exception(refusal)


def _tell(write: _Write[Any], outcome: object) -> None:
    if write.committed is None:
        return
    try:
        write.committed(outcome)
    except Exception:  # an edge: the write is durable, and the writer goes on
        log.exception("a write was committed, and telling of it failed")
