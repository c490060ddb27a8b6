"""Are notifications for later delivered at their time?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pns.errors import PNSError
from pns.model.timestamp import SECOND
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.ops.commands.push.beside import store_beside
from pns.ops.commands.push.status import ago
from pns.runtime.clock import Clock, SystemClock
from pns.settings import Settings

LATER = "notifications for later"
OVERDUE_SECONDS = 60


async def check_later(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Finding]:
    """Look at pending notifications. A living node begins with due notifications within a second."""
    clock = clock or SystemClock()
    try:
        async with store_beside(settings, clock=clock) as store:
            waiting, first = await store.later.count(), await store.later.next_delivery()
    except PNSError:
        yield not_asked(LATER, "mend the store first: what waits is there")
        return
    told = f"{waiting} waiting"
    if first is not None:
        told = f"{told}; the first {ago(first, clock.now())}"
    if first is None or clock.now() - first < OVERDUE_SECONDS * SECOND:
        yield good(LATER, told)
    else:
        yield bad(LATER, told, _REMEDY)


_REMEDY = (
    "see that a node of 0.5.0 or later runs on this store; what keeps one from delivering, its /readyz and "
    "its log say"
)
