"""Work at the end of the process, for an event loop that its owner only stops: nothing would end the work's
threads, and the process waits for every thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

SECONDS = 10.0
"""How long the process waits for a loop that still runs in another thread."""


def at_end_of_process(
    finish: Callable[[], Coroutine[Any, Any, None]],
    *,
    loop_of: Callable[[], asyncio.AbstractEventLoop | None],
) -> None:
    """Run `finish` when the main thread has ended, in the loop that `loop_of` names then.

    Nothing runs in a closed loop, and nothing where `loop_of` names none.
    """

    def wait() -> None:
        # The interpreter ends the main thread first, and then waits for threads such as this one.
        threading.main_thread().join()
        loop = loop_of()
        if loop is None:
            return
        if loop.is_running():
            # The loop may stop meanwhile: then there is no answer.
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(finish(), loop).result(SECONDS)
        elif not loop.is_closed():
            loop.run_until_complete(finish())

    threading.Thread(target=wait, name="pns end").start()
