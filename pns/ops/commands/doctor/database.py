"""Does the store fit PNS: reachable, whole, with a schema of this release, and durable?"""

from __future__ import annotations

from collections.abc import AsyncIterator

from pns.compose import make_store
from pns.contracts.store import StoreReport
from pns.errors import PNSError
from pns.ops.commands.doctor.finding import Finding, bad, good
from pns.ops.commands.push.beside import store_trouble
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics
from pns.settings import Settings

PLACE = "the store"
SCHEMA = "the store's schema"
DURABLE = "the store's durability"
DISK = "the store's disk"


async def check_database(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the store from beside. The check neither makes nor migrates the store."""
    server = not settings.store.is_sqlite
    try:
        report = await make_store(settings, clock=SystemClock(), metrics=Metrics()).report()
    except PNSError as error:
        yield bad(PLACE, store_trouble(settings, error), _NO_SERVER if server else _NOT_THERE)
        return
    yield good(PLACE, report.place)
    yield _schema(report)
    if report.durable:
        yield good(DURABLE, report.durability)
    else:
        yield bad(DURABLE, report.durability, _SERVER_FORGETS if server else _FILE_FORGETS)
    if report.doubt:
        yield bad(DISK, report.doubt, _ANOTHER_DISK)


def _schema(report: StoreReport) -> Finding:
    told = f"version {report.schema}, this release knows {report.code}"
    if report.schema < report.code:
        return bad(SCHEMA, told, "run `pns migrate`, or start `pns serve`, which does it")
    if report.oldest_code > report.code:
        return bad(SCHEMA, told, "install the newest PNS in use: this one is too old for the store")
    return good(SCHEMA, told)


_NOT_THERE = (
    "the first `pns serve` makes it; if PNS runs already, its store.url or its working folder is another "
    "one: give --config with its file, or PNS_STORE__URL"
)
_NO_SERVER = (
    "do what it says; store.url must be right as seen from PNS's machine or container. "
    "The first `pns serve` makes the tables"
)
_FILE_FORGETS = "restart PNS, which sets it again; no other program may change it"
_ANOTHER_DISK = (
    "stop PNS and `pns copy` the store to a local disk, or to PostgreSQL, which may be on another machine"
)
_SERVER_FORGETS = (
    "turn fsync and full_page_writes on in postgresql.conf; without them a crash may take what was stored"
)
