"""Waiting for a condition of a real process: a deadline, never a guess."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], *, within: float = 30.0, every: float = 0.02
) -> T: ...
@overload
async def eventually(condition: Callable[[], T], *, within: float = 30.0, every: float = 0.02) -> T: ...
async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, within: float = 30.0, every: float = 0.02
) -> T:
    """The first true result of `condition`, asked again and again. Raises AssertionError after `within`."""
    deadline = time.monotonic() + within
    while True:
        result = condition()
        value: T = await result if inspect.isawaitable(result) else result
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(every)


async def stays(condition: Callable[[], object], *, seconds: float) -> None:
    """Assert that `condition` holds all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), inspect.getsource(condition).strip()
        await asyncio.sleep(0.02)
