"""A server whose database is locked, full, damaged, read-only or gone: 503 and never a 201, connections that
live on, and a server that goes on by itself when the cause has gone.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from tests.harness import Backend, Device, HostApplication, ServerProcess, eventually

NOTIFICATION = {"user_id": "alice", "notifications": [{"notification_data": "x"}]}


def files_of(server: ServerProcess) -> list[Path]:
    """The database and what SQLite keeps beside it."""
    return list(server.store.parent.glob("pns.db*"))


async def refused_notify(backend: Backend) -> str:
    """A notify that must be answered 503; returns what the application is told."""
    response = await backend.http.post("/notify", json=NOTIFICATION)
    assert response.status_code == 503, response.text
    assert response.json()["code"] == "store_unavailable"
    assert int(response.headers["retry-after"]) > 0
    return str(response.json()["detail"])


async def unready(server: ServerProcess, backend: Backend) -> str:
    """What /readyz says is wrong: a sentence without a path or a host name. /livez stays well."""
    response = await backend.http.get("/readyz")
    assert response.status_code == 503, response.text
    (problem,) = response.json()["problems"]
    for private in (str(server.folder), server.store.name, os.uname().nodename, "127.0.0.1"):
        assert private not in problem
    assert (await backend.http.get("/livez")).status_code == 200
    return str(problem)


async def recovers(server: ServerProcess, backend: Backend) -> None:
    """The same process takes notifications again by itself, and says that it is ready."""
    pid = server.pid

    async def works() -> bool:
        return (await backend.http.post("/notify", json=NOTIFICATION)).status_code == 201

    await eventually(works)
    assert (await backend.http.get("/readyz")).status_code == 200
    assert server.pid == pid
    assert server.process is not None
    assert server.process.poll() is None


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Another program has the database for itself."""
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_locked_by_another_program(server: ServerProcess, backend: Backend) -> None:
    async with Device.connect(server.url, "alice") as device:
        await device.count()
        await backend.notify("alice", "before")
        await device.count_is(1)
        with locked(server.store):
            told = await asyncio.gather(*(refused_notify(backend) for _ in range(5)))
            assert all("locked" in detail for detail in told)
            shown = await device.ask({"unseenNotificationDataRequest": {"ack": True}})
            assert [item["notification_data"] for item in shown["newNotificationData"]] == ["before"]
            assert (await backend.user("alice"))["unseen"] == 1, "readers are not in the way of a lock"
            assert "locked" in await unready(server, backend)
        await recovers(server, backend)
        await device.count_is(2)
        assert [item["notification_data"] for item in await device.unseen()] == ["before", "x"]
        await device.count_is(0)


async def test_a_lock_of_a_moment_is_waited_for(server: ServerProcess, backend: Backend) -> None:
    with locked(server.store):
        notify = asyncio.create_task(backend.notify("alice", "patient"))
        done, _ = await asyncio.wait([notify], timeout=0.5)
        assert not done
    assert len(await notify) == 1
    assert (await backend.user("alice"))["unseen"] == 1


# ── a full disk ───────────────────────────────────────────────────────────────────────────────────────


class SmallDisk:
    """A file system of its own that can be filled; where none may be mounted, a limit on the file's size."""

    def __init__(self, folder: Path, *, mount: bool) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        wanted = mount and shutil.which("mount") is not None
        self.mounted = wanted and subprocess.run(command, capture_output=True).returncode == 0

    def fill(self, server: ServerProcess) -> None:
        if not self.mounted:
            self._limit(server, server.store.with_name("pns.db-wal").stat().st_size)
            return
        with (self.folder / "ballast").open("wb", buffering=0) as ballast:
            for size in (65_536, 4_096, 1):
                try:
                    while ballast.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self, server: ServerProcess) -> None:
        if self.mounted:
            (self.folder / "ballast").unlink()
        else:
            self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: ServerProcess, size: int) -> None:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def remove(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture(params=["mount", "limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", mount=request.param == "mount")
    yield disk
    disk.remove()


async def test_a_full_disk(application: HostApplication, disk: SmallDisk, tmp_path: Path) -> None:
    store = f"sqlite:///{disk.folder / 'pns.db'}"
    server = ServerProcess(tmp_path, auth_url=application.url, store__url=store)
    server.store = disk.folder / "pns.db"
    async with server, server.backend() as backend, Device.connect(server.url, "alice") as device:
        await device.count()
        await backend.notify("alice", "before")
        await device.count_is(1)
        disk.fill(server)
        while (await backend.http.post("/notify", json=NOTIFICATION)).status_code == 201:
            pass  # until the room inside the file is used up, too
        unseen = (await backend.user("alice"))["unseen"]
        assert "disk" in await refused_notify(backend)
        assert "disk" in await unready(server, backend)
        assert (await backend.user("alice"))["unseen"] == unseen
        shown = await device.ask({"unseenNotificationDataRequest": {"ack": True}})
        assert shown["newNotificationData"][0]["notification_data"] == "before"
        assert len(shown["newNotificationData"]) == unseen
        disk.free(server)
        await recovers(server, backend)
        now = (await backend.user("alice"))["unseen"]
        assert now > unseen
        await device.count_is(now)


# ── a file that is gone ───────────────────────────────────────────────────────────────────────────────


def move(server: ServerProcess, target: Path) -> None:
    """Move the database with its log, as `mv` does."""
    for file in files_of(server):
        file.rename(target / file.name)


async def test_a_file_taken_away_and_put_back(
    server: ServerProcess, backend: Backend, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    async with Device.connect(server.url, "alice") as device:
        await device.count()
        await backend.notify("alice", "before")
        await device.count_is(1)
        move(server, away)
        assert "deleted" in await refused_notify(backend)
        for word in ("unseenNotificationDataRequest", "seenNotificationsRequest"):
            answer = await device.ask({word: {}})
            assert answer["error"]["code"] == "unavailable"
        await unready(server, backend)
        asked = await backend.http.post("/subscribe", headers={"cookie": "user=bob"})
        assert (asked.status_code, asked.json()["code"]) == (503, "store_unavailable")
        assert not server.store.exists(), "nothing is made anew in its place"
        server.store = away / "pns.db"
        move(server, tmp_path)
        server.store = tmp_path / "pns.db"
        await recovers(server, backend)
        await device.count_is(2)
        assert [item["notification_data"] for item in await device.unseen()] == ["before", "x"]


async def test_a_deleted_file_is_never_written(server: ServerProcess, backend: Backend) -> None:
    async with Device.connect(server.url, "alice") as device:
        await device.count()
        await backend.notify("alice", "before")
        await device.count_is(1)
        for file in files_of(server):
            file.unlink()
        for _ in range(5):
            await refused_notify(backend)
        assert (await device.ask({"unseenNotificationDataRequest": {}}))["error"]["code"] == "unavailable"
        assert not server.store.exists()
        await unready(server, backend)
        assert server.process is not None
        assert server.process.poll() is None


# ── a file that cannot be used at the start ───────────────────────────────────────────────────────────


@asynccontextmanager
async def a_used_store(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server that ran, stored something and ended."""
    async with HostApplication() as application:
        server = ServerProcess(tmp_path, auth_url=application.url)
        async with server, server.backend() as backend:
            await backend.notify("alice", *(f"{number} {'x' * 2000}" for number in range(50)))
            assert await server.stop() == 0
        server.log.unlink()
        yield server


def the_only_line(server: ServerProcess) -> str:
    lines = [line for line in server.output.splitlines() if line]
    assert len(lines) == 1, server.output
    return lines[0]


async def test_a_damaged_file_is_refused_at_the_start(tmp_path: Path) -> None:
    async with a_used_store(tmp_path) as server:
        good = server.store.read_bytes()
        for damaged in (
            b"\xa5" * len(good),
            b"not a database at all" * 200,
            good[:16] + b"\xff" * 4080 + good[4096:],
        ):
            server.store.write_bytes(damaged)
            assert await server.refuses() == 1
            line = the_only_line(server)
            assert line.startswith(f"pns: {server.store}: ")
            assert "backup" in line
            assert server.store.read_bytes() == damaged, "the operator's evidence stays as it is"
            server.log.unlink()
        server.store.write_bytes(good)
        async with server, server.backend() as backend:
            assert len(await backend.inbox("alice")) == 50


AS_ANYBODY = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: with them root may write everything
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


async def test_a_read_only_file_is_told_and_used_when_it_may_be_written(tmp_path: Path) -> None:
    async with a_used_store(tmp_path) as used:
        command = [sys.executable, "-c", AS_ANYBODY, "-m", "pns.ops.cli", "serve"]
        server = ServerProcess(tmp_path, auth_url="http://127.0.0.1:1/", command=command)
        used.store.chmod(0o444)
        try:
            await server.start(status=503)
            async with server.backend() as backend:
                assert "written" in await unready(server, backend)
                assert "written" in await refused_notify(backend)
                assert len(await backend.inbox("alice")) == 50
                for file in files_of(server):
                    file.chmod(0o644)
                await recovers(server, backend)
        finally:
            await server.stop()
