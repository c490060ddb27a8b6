"""The way of functions to the thread of a SQLite connection and back. Small functions that wait at the same
time share a hop: waking a thread costs several times a small read.

This module reaches into aiosqlite, which hops once a statement: `_tx` is the queue of the thread, and `_conn`
is the sqlite3 connection that may only be used there. No other module does.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import aiosqlite

T = TypeVar("T")
Function = Callable[[sqlite3.Connection], T]


class _Call(NamedTuple):
    function: Function[Any]
    future: asyncio.Future[Any]


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: BaseException | None


class Hops:
    """Runs functions in the thread of an open `connection`, one after the other, in their order.

    `at_once` functions share a hop, and all wait for the last of the hop. `check` is called before the
    functions of each hop. An error of `check` is an error of all functions of the hop.
    """

    def __init__(
        self, connection: aiosqlite.Connection, *, at_once: int = 1, check: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._at_once = at_once
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Call] = deque()
        self._is_due = False

    def run(self, function: Function[T]) -> asyncio.Future[T]:
        """The result of `function`, or the error. `function` runs even if the future is cancelled."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append(_Call(function, future))
        if not self._is_due:
            self._is_due = True
            self._connection._tx.put_nowait((None, self._serve))
        return future

    # ── in the connection's thread ────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        """Run all that waits: the end of the connection may be the next in the thread's queue."""
        while self._waiting:
            self._is_due = True
            while self._waiting:
                self._hop()
            # Looked at again after this: a call that came before did not wake the thread.
            self._is_due = False

    def _hop(self) -> None:
        calls = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_once))]
        self._loop.call_soon_threadsafe(_tell, self._run(calls))

    def _run(self, calls: list[_Call]) -> list[_Outcome]:
        try:
            self._check()
        except Exception as error:  # to each caller
            return [_Outcome(future, None, error) for _, future in calls]
        return [_outcome(self._connection._conn, call) for call in calls]


def _outcome(connection: sqlite3.Connection, call: _Call) -> _Outcome:
    try:
        return _Outcome(call.future, call.function(connection), None)
    except BaseException as error:  # to the caller
        return _Outcome(call.future, None, error)


def _tell(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
