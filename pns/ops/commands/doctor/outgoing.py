"""Does a forwarder take what the application commits to its table pns_outgoing, and does PNS refuse a row?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pns.compose import make_outgoing
from pns.contracts.outgoing import Backlog
from pns.errors import SchemaError, SettingsError, Unavailable
from pns.ops.commands.doctor.finding import Finding, bad, good, not_asked
from pns.runtime.clock import Clock, SystemClock

OUTGOING = "the application's pns_outgoing"
LATE_SECONDS = 60


async def check_outgoing(database: str, clock: Clock | None = None) -> AsyncIterator[Finding]:
    """Count the rows of the table. `database`: the application's database, as a URL; empty: nothing is asked.

    A database without the table is no fault: DATABASE_URL is set for many applications that need no table.
    """
    if not database:
        return
    try:
        backlog = await _backlog(database, clock or SystemClock())
    except (SchemaError, SettingsError) as error:
        yield not_asked(OUTGOING, str(error))
    except Unavailable as error:
        yield bad(OUTGOING, str(error), "check --database or DATABASE_URL, and the database behind it")
    else:
        yield _waiting(backlog)
        if backlog.refused:
            yield bad(OUTGOING, f"{backlog.refused:,} rows were refused", _REFUSED)


async def _backlog(database: str, clock: Clock) -> Backlog:
    outgoing = make_outgoing(database, clock=clock)
    try:
        await outgoing.open(lambda: None)
        return await outgoing.backlog()
    finally:
        await outgoing.close()


def _waiting(backlog: Backlog) -> Finding:
    told = f"{backlog.waiting:,} waiting"
    if backlog.waiting:
        told = f"{told}; the oldest for {backlog.oldest_seconds:,.0f} s"
    if backlog.oldest_seconds <= LATE_SECONDS:
        return good(OUTGOING, told)
    return bad(OUTGOING, told, _LATE)


_LATE = (
    "see that `pns forward` or a PNS with outgoing= runs; what keeps a forwarder from sending, its log says"
)
_REFUSED = "read the column `problem` of these rows; docs/transactions.md says how rows are tried again"
