"""Run as a program on a disk that gets full: fill the store, stay right, recover when the disk grows.

`python small_disk.py DIRECTORY mount|limit`. With `mount`, DIRECTORY is a small tmpfs of this process's own;
with `limit`, the process may not write files beyond a size. Exit code 0: every promise was kept.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Cursor, Submission
from pns.errors import StoreUnavailable
from pns.model.notification import Notification
from pns.runtime.clock import SystemClock
from pns.runtime.metrics import Metrics

SMALL = 3 * 2**20
LARGE = 64 * 2**20


def shrink(kind: str) -> None:
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, resource.RLIM_INFINITY))


def grow(directory: Path, kind: str) -> None:
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(directory)], check=True)


async def fill(store: SQLiteStore, stored: set[str], size: int) -> StoreUnavailable:
    """Append, four at a time, until all four are refused; `stored` gets what was acknowledged."""

    async def append(name: str) -> None:
        text = name.ljust(size, "x")
        await store.append([Submission("42", (Notification(text, notification_id=name),))])
        stored.add(name)

    for i in range(10_000):
        names = [f"{size}.{len(stored)}.{i}.{j}" for j in range(4)]
        results = await asyncio.gather(*map(append, names), return_exceptions=True)
        errors = [result for result in results if result is not None]
        assert all(isinstance(error, StoreUnavailable) for error in errors), errors
        if len(errors) == 4:
            assert isinstance(errors[0], StoreUnavailable)
            return errors[0]
    raise AssertionError("the disk never got full")


async def kept(store: SQLiteStore) -> set[str]:
    page = await store.inbox("42", Cursor(limit=100_000, max_bytes=2**40))
    return {item.notification_id for item in page.items}


async def refuses(store: SQLiteStore) -> bool:
    try:
        await store.check()
    except StoreUnavailable:
        return True
    return False


async def main(directory: Path, kind: str) -> None:
    shrink(kind)
    store = SQLiteStore(directory / "pns.db", clock=SystemClock(), metrics=Metrics())
    await store.open()
    try:
        stored = await survive(store)
        if kind == "mount":
            await leave_no_byte(store, stored)
        grow(directory, kind)
        assert not await refuses(store)
        await store.append([Submission("42", (Notification("and on", notification_id="and on"),))])
        assert await kept(store) == stored | {"and on"}
    finally:
        await store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM notifications").fetchone() == (len(stored) + 1,)


async def leave_no_byte(store: SQLiteStore, stored: set[str]) -> None:
    """Small as a probe is, in the end the store says of itself that it cannot write."""
    for i in range(100):
        if await refuses(store):
            break
        await fill(store, stored, i + 10)
    assert await refuses(store)
    assert await kept(store) == stored


async def survive(store: SQLiteStore) -> set[str]:
    """Fill the disk until not even the least fits; returns what was acknowledged, all of which is there."""
    stored: set[str] = set()
    for size in (50_000, 5_000):
        while True:
            before = len(stored)
            error = await fill(store, stored, size)
            assert "disk" in str(error), error
            assert await kept(store) == stored
            if len(stored) == before:
                break
    assert (await store.states(["42"]))["42"].unseen == len(stored) > 10
    return stored


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
