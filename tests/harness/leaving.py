"""Callers that leave in the middle: cancelled at one await after the other."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, TypeVar, cast

T = TypeVar("T")


@types.coroutine
def leaving(work: Coroutine[Any, Any, T], number: int, *, late: bool) -> Generator[Any, Any, T]:
    """`work`, whose task is cancelled at its await of this number: at once, or `late`, with the answer."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    step = partial(work.send, None)
    while True:
        try:
            awaited = step()
        except StopIteration as end:
            return cast(T, end.value)
        number -= 1
        if number == 0 and late and awaited is not None:
            awaited.add_done_callback(lambda _: task.cancel())
        elif number == 0:
            loop.call_soon(task.cancel)
        try:
            yield awaited
            step = partial(work.send, None)
        except BaseException as error:
            step = partial(work.throw, error)


async def left(work: Coroutine[Any, Any, object], number: int, *, late: bool) -> bool:
    """Whether `work` was cancelled at its await of this number; False: it has fewer."""

    async def run() -> object:
        return await leaving(work, number, late=late)

    caller = asyncio.create_task(run())
    await asyncio.wait([caller])
    if not caller.cancelled():
        caller.result()
    return caller.cancelled()
