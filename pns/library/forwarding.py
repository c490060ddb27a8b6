"""A process that only forwards from an application's table to a PNS: `pns forward`, `manage.py pns_forward`.

SIGTERM and Ctrl-C end the process after the body under way. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from pns.compose import make_intake, make_outgoing
from pns.contracts.outgoing import Backlog, Outgoing
from pns.inbox.forwarder import Forwarder, Tally
from pns.runtime.clock import Clock, SystemClock

if TYPE_CHECKING:
    from pns.compose import Database

TELL_SECONDS = 10.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def forward(
    database: str | Database, *, url: str, key: str, tell: Callable[[str], object], clock: Clock | None = None
) -> None:
    """Forward until a signal. `database`: a URL, or an engine of SQLAlchemy.

    `tell` gets lines on the progress. Raises SettingsError for an impossible URL, and PNSError while nothing
    was forwarded yet and an operator must act: no table, no such key, no PNS at `url`.
    """
    clock = clock or SystemClock()
    asyncio.run(_forward(make_outgoing(database, clock=clock), url=url, key=key, tell=tell, clock=clock))


async def _forward(
    outgoing: Outgoing, *, url: str, key: str, tell: Callable[[str], object], clock: Clock
) -> None:
    forwarder = Forwarder(outgoing, make_intake(url, key=key), clock=clock, on_backlog=Backlogs(tell))
    _end_by_signal(forwarder)
    telling = asyncio.create_task(_tell(forwarder, tell, clock), name="pns forward progress")
    tell(f"forwarding to {url}; SIGTERM or Ctrl-C ends")
    try:
        await forwarder.run()
    finally:
        telling.cancel()
        tell(f"ended: {_told(forwarder.tally)}")


def _end_by_signal(forwarder: Forwarder) -> None:
    loop = asyncio.get_running_loop()

    def end() -> None:
        forwarder.end()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)

    for each in _SIGNALS:
        loop.add_signal_handler(each, end)


async def _tell(forwarder: Forwarder, tell: Callable[[str], object], clock: Clock) -> None:
    told = forwarder.tally
    while True:
        await clock.sleep(TELL_SECONDS)
        if forwarder.tally != told:
            told = forwarder.tally
            tell(_told(told))


class Backlogs:
    """Tells of a backlog in a line, unless nothing waits and no further row was refused."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._refused = 0

    def __call__(self, backlog: Backlog) -> None:
        waiting, oldest_seconds, refused = backlog
        if waiting or refused != self._refused:
            wait = f"{waiting:,} rows wait, the oldest for {oldest_seconds:,.0f} s"
            self._tell(f"{wait}; {refused:,} were refused: see failed_at and problem")
        self._refused = refused


def _told(tally: Tally) -> str:
    refused = f", {tally.refused:,} refused: see failed_at and problem" if tally.refused else ""
    return f"{tally.taken:,} forwarded{refused}"
