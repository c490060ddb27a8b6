"""Tells the log when no file descriptor is left. New connections are not served then. uvloop logs nothing of
this, and asyncio thousands of lines.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
from collections.abc import Callable
from typing import Any

from pns.runtime.clock import Clock

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
"""How long nothing more is told after a line."""

_REMEDIES = {
    errno.EMFILE: "raise the limit of open files above limits.connections "
    "(LimitNOFILE= in a systemd unit, `ulimit -n` in a shell)",
    errno.ENFILE: "the whole machine has none: raise the kernel's fs.file-max",
}


def _take_one() -> None:
    os.close(os.open(os.devnull, os.O_RDONLY))


class Descriptors:
    """`look` takes a file descriptor and returns the descriptor. A failure is a line a minute, no error."""

    def __init__(self, clock: Clock, *, take: Callable[[], object] = _take_one) -> None:
        self._clock = clock
        self._take = take
        self._told: float | None = None

    def look(self) -> None:
        try:
            self._take()
        except OSError as error:
            self._tell(error)

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's exception handler: asyncio tells of each connection that it cannot accept."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _REMEDIES:
            self._tell(error)
        else:
            loop.default_exception_handler(context)

    def _tell(self, error: OSError) -> None:
        now = self._clock.monotonic()
        if error.errno not in _REMEDIES or (self._told is not None and now - self._told < QUIET_SECONDS):
            return
        self._told = now
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        log.error(
            "no file descriptor is left, so new connections are not served: %s",
            _REMEDIES[error.errno],
            extra={"limit": limit},
        )
