"""A PNS for a single test: on a store of its own, deleted afterwards, with time in the test's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pns.contracts.authority import UserOf
from pns.contracts.receiver import EventFunction
from pns.library import PNS
from pns.ops.serve.run import migrate
from pns.runtime.clock import Clock
from pns.settings import Settings, StoreSettings
from pns.testing.clock import FakeClock

if TYPE_CHECKING:
    from pns.compose import Database


@asynccontextmanager
async def temporary_pns(
    *,
    user: UserOf | None = None,
    settings: Settings | None = None,
    clock: Clock | None = None,
    outgoing: Database | None = None,
    on_unseen: EventFunction | None = None,
    on_seen: EventFunction | None = None,
    on_read: EventFunction | None = None,
    on_device_removed: EventFunction | None = None,
) -> AsyncIterator[PNS]:
    """A started PNS with an empty store. Takes the arguments of PNS.

    Without `clock`, time stands still. Keep your own FakeClock and `advance` the clock: then large
    publications go on, pushes go out, notifications expire, heartbeats come and rechecks happen.
    """
    with TemporaryDirectory(prefix="pns-", ignore_cleanup_errors=True) as folder:
        url = f"sqlite:///{empty_store(Path(folder) / 'pns.db')}"
        clock = clock or FakeClock()
        pns = PNS(
            url,
            user=user,
            settings=settings,
            clock=clock,
            outgoing=outgoing,
            on_unseen=on_unseen,
            on_seen=on_seen,
            on_read=on_read,
            on_device_removed=on_device_removed,
        )
        async with pns:
            yield pns


def empty_store(path: Path) -> Path:
    """Make an empty store at `path`, unless the file exists; returns `path`.

    The store is a copy of a store made once: making the schema takes longer than most tests.
    """
    if not path.exists():
        path.write_bytes(_empty_store())
    return path


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory(prefix="pns-") as folder, ThreadPoolExecutor(1) as thread:
        path = Path(folder) / "pns.db"
        # In a thread of its own: an event loop may run in this one.
        thread.submit(migrate, Settings(store=StoreSettings(url=f"sqlite:///{path}"))).result()
        return path.read_bytes()
