"""The log of events that any stranger can provoke: a line of each kind now and then, never a flood."""

from __future__ import annotations

import logging
from typing import NamedTuple

from pns.runtime.clock import Clock

QUIET_SECONDS = 60.0


class _Told(NamedTuple):
    """When the next line of a kind may be written, and how many lines were left out since the last."""

    quiet_until: float
    left_out: int


class QuietLog:
    """Writes the first line of a kind at once, then at most a line in `seconds`, with the number left out.

    Kinds are the program's own and few, because each kind is remembered for good. Before calling, the caller
    must make each foreign text printable and short.
    """

    def __init__(
        self,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        *,
        clock: Clock,
        seconds: float = QUIET_SECONDS,
    ) -> None:
        self._log = log
        self._clock = clock
        self._seconds = seconds
        self._told: dict[str, _Told] = {}

    def write(
        self, kind: str, line: str, *, level: int = logging.WARNING, error: BaseException | None = None
    ) -> None:
        """`error`: whose traceback stands below the line."""
        now, told = self._clock.monotonic(), self._told.get(kind)
        if told is not None and now < told.quiet_until:
            self._told[kind] = told._replace(left_out=told.left_out + 1)
            return
        more = f" ({told.left_out} more since the line before)" if told is not None and told.left_out else ""
        self._log.log(level, "%s%s", line, more, exc_info=error)
        self._told[kind] = _Told(now + self._seconds, 0)
