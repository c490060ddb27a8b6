"""Group commit: writes that wait at the same time share one commit, and each write has its own answer.

Owns the queue, the one task that empties the queue, and the rule which write an error concerns; knows no
engine. Never commits two batches at once, and never drops a write because its caller has gone. Calls
`committed` for every durable write before the caller goes on, also after the caller has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Any, Generic, TypeVar

from pns.contracts.store import Committed
from pns.errors import Overloaded, StoreUnavailable
from pns.runtime.clock import Clock
from pns.runtime.metrics import Metrics

log = logging.getLogger(__name__)

COMMIT_BYTES = 8 * 2**20
"""About how much one commit may hold. Such a commit takes less than a store's patience on any disk."""

SMALL_WRITE = 256
"""The size in bytes of a waiting write without notification data, about."""
MOST_NEEDED = 2**20
"""The most bytes that a full disk must have room for again, before writing counts as possible."""
MARKED_AT_ONCE = 500
REMOVED_AT_ONCE = 500
"""Rows of one commit when many rows change, so that a notify never waits long behind the commit. The steps of
such a change have commits of their own: a notify waits for one step, and takes no part in the next.
"""

R = TypeVar("R")
Commit = Callable[[Sequence[R]], Awaitable[Sequence[object]]]
"""Commits requests in order and returns for each the result, or the exception that undid this request alone.

Raises StoreUnavailable when the engine can commit nothing, and any other error for these requests alone.
"""


class Rejected(StoreUnavailable):
    """The store refused this write. Nothing was stored; the node's log says why."""


class Full(StoreUnavailable):
    """The disk has no room for this batch. A smaller write may find room."""


class Unknown(StoreUnavailable):
    """The connection or the task ended during the commit: the writes were stored, or they were not."""


def _closed() -> StoreUnavailable:
    return StoreUnavailable("The store is closed. Nothing was stored.")


@dataclass(frozen=True, slots=True)
class _Write(Generic[R]):
    request: R
    size: int
    answer: asyncio.Future[object]
    committed: Committed[Any] | None
    apart: bool


class GroupCommit(Generic[R]):
    """One writer for many callers.

    `trouble` is the error of the last commit, None while commits work. A full disk is a trouble until a write
    of `needed` bytes has found room: small writes say nothing of large writes.
    """

    def __init__(self, commit: Commit[R], *, clock: Clock, metrics: Metrics, max_waiting_bytes: int) -> None:
        self.trouble: StoreUnavailable | None = None
        self.needed = 0
        self._told: set[str] = set()
        self._commit = commit
        self._clock = clock
        self._metrics = metrics
        self._max_bytes = max_waiting_bytes
        self._bytes = 0
        self._apart = 0
        self._shared = 0
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
        self._abandon()  # a task that was cancelled before its first step

    @property
    def is_busy(self) -> bool:
        """Whether a write waits, or is being committed."""
        return self._bytes > 0

    async def write(
        self, request: R, *, size: int, committed: Committed[Any] | None = None, apart: bool = False
    ) -> object:
        """Return the result of `commit` for `request`, after the request is durable. `apart`: the request
        has a commit of its own.

        The request of a cancelled caller is committed all the same, and `committed` is called all the same;
        see pns.contracts.store.Committed. Raises Overloaded when `size` more bytes are too many to wait, and
        the exceptions that `commit` raises or returns.
        """
        if self._task is None or self._task.done():
            raise StoreUnavailable("The store is not open.")
        if self._bytes and self._bytes + size > self._max_bytes:
            raise Overloaded
        write = _Write(request, size, asyncio.get_running_loop().create_future(), committed, apart)
        self._waiting.append(write)
        self._bytes += size
        self._apart += apart
        self._shared += not apart
        self._wake.set()
        return await write.answer

    @property
    def shared(self) -> int:
        """The number of writes so far without a commit of their own."""
        return self._shared

    async def _run(self) -> None:
        try:
            while self._task is not None:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._settle(self._take())
        finally:
            self._abandon()

    def _abandon(self) -> None:
        """Answer the writes that no commit will take. Writes are left only when the task was cancelled."""
        self._answer_all(self._take_all(), _closed())

    def _take_all(self) -> list[_Write[R]]:
        waiting, self._waiting = self._waiting, []
        self._apart = 0
        return waiting

    def _take(self) -> list[_Write[R]]:
        """All waiting writes, or as many of them as one commit should hold."""
        if self._bytes <= COMMIT_BYTES and not self._apart:
            taken, self._waiting = self._waiting, []
            return taken
        together = [*takewhile(lambda write: not write.apart, self._waiting)]
        ends = accumulate(write.size for write in together)
        count = max(1, sum(end <= COMMIT_BYTES for end in ends))
        self._apart -= not together
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    async def _settle(self, batch: Sequence[_Write[R]]) -> bool:
        """Commit `batch` and answer its writes; returns whether the engine is there.

        No write waits for an absent engine: the writes that waited meanwhile have the same answer.
        """
        try:
            outcomes = await self._timed(batch)
        except StoreUnavailable as error:
            if isinstance(error, Rejected):
                return await self._settle_apart(batch, error)
            self._note(error, batch)
            if isinstance(error, Unknown):
                _tell_unknown(batch)
            self._answer_all([*batch, *self._take_all()], error)
            return False
        except asyncio.CancelledError:  # from outside: the engine may have committed, or not
            _tell_unknown(batch)
            self._answer_all(
                batch, Unknown("The store was closed meanwhile. Repeat the request with its ids.")
            )
            raise
        except Exception as error:  # an edge: one request's fault must not end the writer
            return await self._settle_apart(batch, error)
        self._note(None, batch)
        for write, outcome in zip(batch, outcomes, strict=True):
            self._answer(write, outcome)
        return True

    async def _settle_apart(self, batch: Sequence[_Write[R]], error: Exception) -> bool:
        """Commit each write of `batch` for itself, so that the write at fault fails alone."""
        if len(batch) == 1:
            log.error("a write failed", exc_info=error)
            self._answer(batch[0], error)
            return True
        unsettled = deque(batch)
        try:
            while unsettled:
                if not await self._settle([unsettled.popleft()]):
                    return False
        finally:
            self._answer_all(unsettled, self.trouble or _closed())
        return True

    async def _timed(self, batch: Sequence[_Write[R]]) -> Sequence[object]:
        begin = self._clock.monotonic()
        outcomes = await self._commit([write.request for write in batch])
        self._metrics.commit_seconds.observe(self._clock.monotonic() - begin)
        self._metrics.commit_size.observe(len(batch))
        return outcomes

    def _note(self, trouble: StoreUnavailable | None, batch: Sequence[_Write[R]]) -> None:
        """Remember and tell the outcome of `batch`: each reason once, until writing works again."""
        largest = max(write.size for write in batch)
        if trouble is None:
            if largest < self.needed:
                return
            if self.trouble is not None:
                log.warning("the store can be written again")
            self.trouble, self.needed = None, 0
            self._told.clear()
            return
        if isinstance(trouble, Full):
            self.needed = max(self.needed, min(largest, MOST_NEEDED))
        if str(trouble) not in self._told:
            log.error("the store cannot be written: %s", trouble.told)
            self._told.add(str(trouble))
        self.trouble = trouble

    def _answer_all(self, writes: Iterable[_Write[R]], error: StoreUnavailable) -> None:
        for write in writes:
            self._answer(write, error.again())

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


def _tell_unknown(batch: Iterable[_Write[Any]]) -> None:
    for write in batch:
        _tell(write, None)


def _tell(write: _Write[Any], outcome: object) -> None:
    if write.committed is None:
        return
    try:
        write.committed(outcome)
    except Exception:  # an edge: the write is durable, and the writer goes on
        log.exception("a write was committed, and telling of it failed")
