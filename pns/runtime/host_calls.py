"""Calls of the host's functions: an async function runs in the event loop, a sync one in a thread of PNS.

A thread cannot be ended. A hanging thread keeps its place among the threads until the function returns, and
neither a caller nor the end of PNS waits for it. The host's other sync functions share none of these threads.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")


class HostCallStopped(Exception):
    """PNS stops and no longer waits for the function."""


class HostCallFailed(Exception):
    """The function raised `error`."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__qualname__)
        self.error = error


class HostCalls:
    """`most`: threads at once. `name`: of the tasks that wait for threads."""

    def __init__(self, most: int, *, name: str) -> None:
        self._threads = CapacityLimiter(most)
        self._name = name
        self._calls: set[asyncio.Task[object]] = set()

    async def stop(self) -> None:
        """End all waits for threads with HostCallStopped. Safe to call twice."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)

    async def call(
        self,
        function: Callable[[T], object],
        argument: T,
        *,
        began: Callable[[asyncio.Task[object]], None] = lambda call: None,
    ) -> object:
        """The result of the function. `began` gets the task of a thread, which may outlast the caller.

        Raises HostCallFailed, HostCallStopped. A caller that is cancelled gets no result, also where the
        function caught its own end.
        """
        task = asyncio.current_task()
        assert task is not None
        try:
            result = await self._result(function, argument, began)
        except HostCallStopped:
            raise
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            raise HostCallFailed(error) from None  # the function's own
        except (Exception, SystemExit) as error:
            raise HostCallFailed(error) from None
        if task.cancelling():
            raise asyncio.CancelledError
        return result

    async def _result(
        self, function: Callable[[T], object], argument: T, began: Callable[[asyncio.Task[object]], None]
    ) -> object:
        if is_async(function):
            result = function(argument)
        else:
            result = await self._in_thread(partial(_fenced, function, argument), began)
        return await result if inspect.isawaitable(result) else result

    async def _in_thread(
        self, work: Callable[[], object], began: Callable[[asyncio.Task[object]], None]
    ) -> object:
        thread = to_thread.run_sync(work, limiter=self._threads)
        call = asyncio.create_task(thread, name=self._name)
        self._calls.add(call)
        call.add_done_callback(self._ended)
        began(call)
        await asyncio.wait([call])  # unlike awaiting the task, does not cancel it with the waiter
        if call.cancelled():
            raise HostCallStopped
        return call.result()

    def _ended(self, call: asyncio.Task[object]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # seen here, because the caller may have left


def is_async(function: Callable[..., object]) -> bool:
    """Whether a call makes a coroutine, also of a partial and of an object with `__call__`."""
    inner: object = function
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(type(inner).__call__)


def _fenced(function: Callable[[T], object], argument: T) -> object:
    """The result of the function. A BaseException would end the event loop, or look like the end of PNS."""
    try:
        return function(argument)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__} was raised") from error
