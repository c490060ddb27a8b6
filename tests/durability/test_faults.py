"""A disk that is full or read-only, a file that is locked, damaged, deleted or replaced; and back again.

In every case: the callers are told StoreUnavailable, nothing acknowledged is lost, nothing is made anew in
place of what cannot be read, and the store goes on by itself when the cause has gone.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Cursor, Submission
from pns.errors import PNSError, SchemaError, StoreUnavailable
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock

ALL = Cursor(limit=10_000, max_bytes=2**30)


def new_store(path: Path) -> SQLiteStore:
    return SQLiteStore(path, clock=FakeClock(), metrics=Metrics())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = new_store(tmp_path / "pns.db")
    await store.open()
    yield store
    await store.close()


async def append(store: SQLiteStore, *texts: str) -> None:
    await store.append([Submission("42", tuple(map(Notification, texts)))])


async def inbox(store: SQLiteStore) -> list[str]:
    return [item.notification_data for item in (await store.inbox("42", ALL)).items]


def backup(store: SQLiteStore, name: str) -> Path:
    """A copy of the store's file as an operator makes one, while the store runs."""
    copy = store.path.with_name(name)
    with closing(sqlite3.connect(store.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


# ── full ──────────────────────────────────────────────────────────────────────────────────────────────


def _small_disk(directory: Path, kind: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(Path(__file__).with_name("small_disk.py")), str(directory), kind]
    if kind == "mount":
        mount = f'mount -t tmpfs -o size={3 * 2**20} tmpfs "$0" && exec "$@"'
        program = ["unshare", "-m", "sh", "-c", mount, str(directory), *program]
    return subprocess.run(
        program,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def _may_mount(directory: Path) -> bool:
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(directory)]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_a_full_disk_is_told_survived_and_recovered_from(tmp_path: Path) -> None:
    """On a small disk where this machine lets us mount one, else under a limit of file size."""
    run = _small_disk(tmp_path, "mount" if _may_mount(tmp_path) else "limit")
    assert run.returncode == 0, run.stderr


def test_a_disk_that_fails_to_write_is_told_survived_and_recovered_from(tmp_path: Path) -> None:
    run = _small_disk(tmp_path, "limit")
    assert run.returncode == 0, run.stderr


# ── read-only ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_store_that_may_not_write_goes_on_when_it_may(store: SQLiteStore) -> None:
    await append(store, "before")
    await store._writer.run(lambda connection: connection.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await append(store, "refused")
    assert await inbox(store) == ["before"]
    await store.check()
    await append(store, "after")
    assert await inbox(store) == ["before", "after"]


_OPEN_AS_NOBODY = """
import asyncio, os, sys
from pns.runtime.clock import SystemClock
from pns.errors import StoreUnavailable
from pns.runtime.metrics import Metrics
from pns.adapters.stores.sqlite.store import SQLiteStore

async def main(path):
    store = SQLiteStore(path, clock=SystemClock(), metrics=Metrics())
    try:
        await store.open()
        await store.secret()
    except StoreUnavailable as error:
        print(error)
    await store.close()

asyncio.run(main(sys.argv[2]))  # once with rights, for modules that are loaded when they are needed
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
asyncio.run(main(sys.argv[1]))
"""


async def test_a_directory_that_may_not_be_written_is_told(store: SQLiteStore, tmp_path: Path) -> None:
    elsewhere = tmp_path.with_name("elsewhere.db")
    await append(store, "kept")
    await store.close()
    for folder in [tmp_path, *tmp_path.parents[:2]]:
        folder.chmod(0o555 if folder == tmp_path else 0o755)
    store.path.chmod(0o444)
    before = await asyncio.to_thread(store.path.read_bytes)
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _OPEN_AS_NOBODY, str(store.path), str(elsewhere)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert re.search("opened|written", run.stdout), run
    assert await asyncio.to_thread(store.path.read_bytes) == before
    os.chmod(tmp_path, 0o755)
    os.chmod(store.path, 0o644)
    await store.open()
    assert await inbox(store) == ["kept"]


# ── locked ────────────────────────────────────────────────────────────────────────────────────────────

_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
connection.close()
"""


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], None]]:
    """Another process holds the file's lock until the function is called."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def release() -> None:
        process.communicate("\n", timeout=10)

    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield release
    finally:
        if process.poll() is None:
            release()


async def test_a_short_lock_is_waited_for(store: SQLiteStore) -> None:
    with locked(store.path) as release:
        waiting = asyncio.create_task(append(store, "patient"))
        for _ in range(20):
            assert await inbox(store) == []
        assert not waiting.done()
        await asyncio.to_thread(release)
        await waiting
    assert await inbox(store) == ["patient"]


async def test_a_long_lock_is_told_to_all_who_wait_and_waited_for_once(store: SQLiteStore) -> None:
    await append(store, "before")
    waits = await store._writer.run(lambda raw: raw.execute("PRAGMA busy_timeout").fetchone())
    assert waits == (5_000,)
    await store._writer.run(lambda raw: raw.execute("PRAGMA busy_timeout = 1").fetchone())
    loop, others = asyncio.get_running_loop(), list[asyncio.Task[None]]()
    begun: list[str] = []

    async def others_come() -> None:
        others.extend(asyncio.create_task(append(store, str(number))) for number in range(50))
        for _ in range(20):
            await asyncio.sleep(0)

    def said(statement: str) -> None:
        """In the writer's thread: while the first is at the lock, the others come behind it."""
        if statement.startswith("BEGIN"):
            begun.append(statement)
            if not others:
                asyncio.run_coroutine_threadsafe(others_come(), loop).result()

    await store._writer.run(lambda raw: raw.set_trace_callback(said))
    with locked(store.path) as release:
        with pytest.raises(StoreUnavailable, match="locked"):
            await append(store, "first")
        results = await asyncio.gather(*others, return_exceptions=True)
        assert [type(result) for result in results] == [StoreUnavailable] * 50
        assert len(begun) == 1, "nobody waits for it again"
        assert await inbox(store) == ["before"]
        await asyncio.to_thread(release)
    await store.check()
    await append(store, "after")
    assert await inbox(store) == ["before", "after"]


# ── deleted and replaced ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("suffixes", [[""], ["-wal"], ["-shm"], ["", "-wal", "-shm"]], ids=str)
async def test_a_deleted_file_is_never_written_nor_made_anew(store: SQLiteStore, suffixes: list[str]) -> None:
    await append(store, "kept")
    moved = [f"{store.path}{suffix}" for suffix in suffixes]
    for file in moved:
        os.rename(file, f"{file}.away")
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await append(store, "into nothing")
    if "" in suffixes:
        for _ in range(2):
            for call in (append(store, "into nothing"), store.states(["42"]), store.check(), inbox(store)):
                with pytest.raises(StoreUnavailable):
                    await call
        assert store.path.name not in os.listdir(store.path.parent)
        for file in moved:
            os.rename(f"{file}.away", file)
    await store.check()
    await append(store, "after")
    assert await inbox(store) == ["kept", "after"]


async def test_a_restored_backup_is_taken_up(store: SQLiteStore) -> None:
    await append(store, "in the backup")
    copy = await asyncio.to_thread(backup, store, "backup.db")
    await append(store, "lost with the disk")
    for suffix in ("-wal", "-shm"):
        os.unlink(f"{store.path}{suffix}")
    os.replace(copy, store.path)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await append(store, "refused")
    await append(store, "after")
    assert await inbox(store) == ["in the backup", "after"]


async def test_a_replacement_that_is_no_store_is_refused(store: SQLiteStore) -> None:
    await append(store, "kept")
    await store.close()
    await store.open()
    away = store.path.rename(f"{store.path}.away")
    store.path.touch()
    for suffix in ("-wal", "-shm"):
        os.unlink(f"{store.path}{suffix}")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await append(store, "refused")
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    os.replace(away, store.path)
    await append(store, "after")
    assert await inbox(store) == ["kept", "after"]


# ── damaged ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def full_file(store: SQLiteStore) -> Path:
    for i in range(30):
        await append(store, *(f"{i} {j} " * 100 for j in range(20)))
    await store.append(
        [Submission(f"user {i}", (Notification("a", notification_id="a"),)) for i in range(300)]
    )
    await store.mark_seen("user 1", ["a"])
    await store.close()
    return store.path


async def test_damage_is_told_and_mending_it_is_enough(full_file: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.db"
    shutil.copy(full_file, good)
    half = os.stat(full_file).st_size // 4096 // 2
    overwrite = [
        "dd",
        "if=/dev/urandom",
        f"of={full_file}",
        "bs=4096",
        f"seek={half}",
        f"count={half}",
        "conv=notrunc",
    ]
    await asyncio.to_thread(subprocess.run, overwrite, check=True, capture_output=True)
    store = new_store(full_file)
    await store.open()
    with pytest.raises(StoreUnavailable, match="damaged"):
        await inbox(store)
    await asyncio.to_thread(
        subprocess.run,
        ["dd", f"if={good}", f"of={full_file}", "bs=4096", "conv=notrunc"],
        check=True,
        capture_output=True,
    )
    assert len(await inbox(store)) == 600
    await append(store, "after")
    await store.close()


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 20))]
)
async def test_random_bit_flips_are_refused_or_told_and_nothing_is_made_anew(
    full_file: Path, tmp_path: Path, seed: int
) -> None:
    """40 files each, 1 to 1,000 flipped bits in all of the file or in its head."""
    luck = random.Random(seed)
    good = await asyncio.to_thread(full_file.read_bytes)
    path = tmp_path / "flipped.db"
    told = 0
    for _ in range(40):
        damaged = bytearray(good)
        reach = luck.choice([100, 4096, 40_960, len(good)])
        for _ in range(luck.choice([1, 10, 1_000])):
            damaged[luck.randrange(reach)] ^= 1 << luck.randrange(8)
        await asyncio.to_thread(path.write_bytes, damaged)
        told += await _use(path)
        assert os.stat(path).st_size >= len(good)
        remove(path)
    assert told > 0


async def _use(path: Path) -> int:
    """How many calls on a damaged file said so. None may say anything else, or find an empty store."""
    store = new_store(path)
    told = 0
    try:
        await store.open()
    except (StoreUnavailable, SchemaError):
        await store.close()
        return 1
    calls: list[Callable[[], object]] = [
        lambda: store.inbox("42", ALL),
        lambda: store.unseen("42", limit=500, max_bytes=2**18),
        lambda: store.seen("user 1", ALL),
        lambda: store.states([f"user {i}" for i in range(300)]),
        lambda: append(store, "one more"),
        lambda: store.mark_all_seen("42"),
        lambda: store.erase("user 7"),
        lambda: store.prune(seen_before=2**62, limit=100),
        lambda: store.secret(),
    ]
    for call in calls:
        try:
            await call()  # type: ignore[misc]
        except PNSError as error:
            told += isinstance(error, StoreUnavailable) or pytest.fail(repr(error))
    await store.close()
    return told
