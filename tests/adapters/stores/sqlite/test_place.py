"""Where a SQLite file may lie."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pns.adapters.stores.sqlite import place
from pns.adapters.stores.sqlite.place import doubt, require_folder
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Submission
from pns.errors import SettingsError, StoreUnavailable
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.runtime.mounts import Mount
from pns.testing import FakeClock
from pns.testing.temporary import empty_store

ROOT = Mount("/", "overlay")


def new_store(path: Path) -> SQLiteStore:
    return SQLiteStore(path, clock=FakeClock(), metrics=Metrics())


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_that_is_a_mount_of_its_own(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "pns.db"
    alone = [ROOT, Mount(f"{path}{suffix}", "ext4")]
    with pytest.raises(SettingsError, match=f"Mount the folder {tmp_path} instead"):
        require_folder(path, alone)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with pytest.raises(SettingsError):
        require_folder(link, alone)
    require_folder(path, [ROOT, Mount(str(tmp_path), "ext4"), Mount(f"{path}.bak", "ext4")])


def test_without_a_word_of_mounts_the_devices_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "pns.db"
    require_folder(path, [])
    path.touch()
    require_folder(path, [])
    with pytest.raises(SettingsError):
        require_folder(Path("/proc"), [])


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse", "fuse.sshfs"])
def test_a_file_system_that_promises_too_little(tmp_path: Path, kind: str) -> None:
    told = doubt(tmp_path / "pns.db", [ROOT, Mount(str(tmp_path), kind)])
    assert kind in told
    assert "local disk" in told


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fuseblk", "fuse.fuse-overlayfs"]
)
def test_a_file_system_that_keeps_its_promises(tmp_path: Path, kind: str) -> None:
    assert doubt(tmp_path / "pns.db", [ROOT, Mount(str(tmp_path), kind)]) == ""


async def test_it_is_told_once_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "mounts", lambda: [ROOT, Mount(str(tmp_path), "nfs4")])
    store = new_store(empty_store(tmp_path / "pns.db"))
    with caplog.at_level(logging.WARNING):
        await store.open()
        await store.check()
    await store.close()
    assert [record.levelname for record in caplog.records if "nfs4" in record.message] == ["WARNING"]


# ── a link ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("relative", [True, False])
async def test_a_link_to_the_file_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    """Also one whose file is not there yet."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "pns.db"
    link.symlink_to(Path("data/real.db") if relative else data / "real.db")
    for path in (link, Path("pns.db"), link):
        store = new_store(path)
        await store.open()
        await store.append([Submission("42", (Notification("hello"),))])
        await store.check()
        await store.close()
    with closing(sqlite3.connect(data / "real.db")) as connection:
        assert connection.execute("SELECT count(*) FROM notifications").fetchone() == (3,)
    assert sorted(os.listdir(tmp_path)) == ["data", "pns.db"]


async def test_a_link_that_leads_to_another_file_meanwhile(tmp_path: Path) -> None:
    link = tmp_path / "pns.db"
    first, second = (empty_store(tmp_path / name) for name in ("first.db", "second.db"))
    link.symlink_to(first)
    store = new_store(link)
    await store.open()
    link.unlink()
    link.symlink_to(second)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        await store.append([Submission("42", (Notification("hello"),))])
    await store.close()


# ── a disk that is nearly full ────────────────────────────────────────────────────────────────────────


async def fill(store: SQLiteStore, *, pages_left: int) -> None:
    """Let the file grow by no more than so many pages: to SQLite, a full disk."""

    def limit(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + pages_left}")

    await store._writer.run(limit)


async def enlarge(store: SQLiteStore) -> None:
    await store._writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").close())


async def test_a_disk_with_room_for_small_notifications_alone_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store(empty_store(tmp_path / "pns.db"))
    await store.open()
    await store.check()
    await fill(store, pages_left=12)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.append([Submission("42", (Notification("x" * 60_000),))])
    for _ in range(2):
        await store.append([Submission("42", (Notification("small"),))])
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await store.check()
    assert "can be written again" not in caplog.text
    await enlarge(store)
    await store.check()
    await store.append([Submission("42", (Notification("x" * 60_000),))])
    assert caplog.text.count("the store cannot be written") == 1
    assert caplog.text.count("the store can be written again") == 1
    await store.close()


async def test_little_room_is_noticed_before_anybody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_store(empty_store(tmp_path / "pns.db"))
    await store.open()
    await fill(store, pages_left=12)
    monkeypatch.setattr("pns.adapters.stores.sqlite.store.free_bytes", lambda path: 40_000)
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.check()
    await enlarge(store)
    await store.check()
    await store.close()
