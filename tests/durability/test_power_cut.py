"""201 means durable: whenever the power goes, everything acknowledged is there and nothing is in halves."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from pns.adapters.stores.sqlite.migrate import migrate
from pns.adapters.stores.sqlite.store import SQLiteStore
from pns.contracts.store import Submission
from pns.model.notification import Notification
from pns.runtime.metrics import Metrics
from pns.testing.clock import FakeClock

from .power import Acknowledged, Event, Rows, content, images, replay


async def _work(path: Path) -> None:
    """A bit of everything that the store commits."""
    store = SQLiteStore(path, clock=FakeClock(), metrics=Metrics())
    await store.open()
    for i in range(40):
        notifications = tuple(
            Notification(f"{i} " * (400 * (j % 3) + 1), collapse_key="k" if j == 1 else None)
            for j in range(4)
        )
        some = [store.append([Submission(f"user {i % 5 + j}", notifications)]) for j in range(3)]
        await asyncio.gather(*some)
        page = await store.unseen(f"user {i % 5}", limit=5, max_bytes=2**20)
        await store.mark_sent_seen(page.user_key, [item.seq for item in page.items])
        if i % 7 == 6:
            await store.mark_all_seen("user 3")
            await store.erase("user 1")
            await store.revoke("user 2", "phone")
            await store.prune(seen_before=2**62, limit=20)
    await store.close()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "pns.db"
    migrate(path)
    return path


@pytest.fixture(scope="module")
def statements(base: Path) -> list[str]:
    """Every statement of the store's writing connection, pragmas included, as it ran."""
    path = base.parent / "work.db"
    path.write_bytes(base.read_bytes())
    taken: list[list[str]] = []
    connect = sqlite3.connect

    def tracing(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)  # type: ignore[call-overload]
        own: list[str] = []
        taken.append(own)
        # Where a trigger begins, the statement that started it is told once more.
        connection.set_trace_callback(lambda told: own.append(told) if own[-1:] != [told] else None)
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", tracing)
        asyncio.run(_work(path))
    (writer,) = [statements for statements in taken if "BEGIN IMMEDIATE" in statements]
    return writer


def _replayed(statements: Sequence[str], base: Path, tmp_path: Path) -> list[Event]:
    path = tmp_path / "disk" / "pns.db"
    path.parent.mkdir()
    path.write_bytes(base.read_bytes())
    return replay(statements, path)


def _cut(events: list[Event], base: Path, tmp_path: Path, *, every: int = 1) -> tuple[int, int]:
    """(points at which the power was cut, points at which something acknowledged was lost).

    Every moment is cut in three ways; with `every` 16, three moments in 16 are, and each in another way.
    """
    promises: list[Rows] = [event.content for event in events if isinstance(event, Acknowledged)]
    first = content(base)
    following = dict(zip([first, *promises], [*promises, promises[-1]], strict=True))
    path = tmp_path / "after" / "pns.db"
    path.parent.mkdir()
    points = lost = 0
    for promised, files in images(events, base.read_bytes(), path.name, every=every):
        for name, data in files.items():
            (path.parent / name).write_bytes(data)
        (path.parent / f"{path.name}-shm").unlink(missing_ok=True)
        kept = promised or first
        points += 1
        lost += content(path) not in (kept, following[kept])
    return points, lost


def test_the_replay_is_the_stores_own_work(statements: list[str], base: Path, tmp_path: Path) -> None:
    assert "PRAGMA synchronous = FULL" in statements
    assert "PRAGMA journal_mode = WAL" in statements
    events = _replayed(statements, base, tmp_path)
    promises = [event.content for event in events if isinstance(event, Acknowledged)]
    assert promises[-1] == content(base.parent / "work.db")
    assert len(promises) == statements.count("COMMIT") > 100


def test_a_power_cut_loses_nothing_that_was_acknowledged(
    statements: list[str], base: Path, tmp_path: Path
) -> None:
    points, lost = _cut(_replayed(statements, base, tmp_path), base, tmp_path, every=16)
    assert points >= 500
    assert lost == 0


@pytest.mark.soak
def test_a_power_cut_at_any_moment_loses_nothing(statements: list[str], base: Path, tmp_path: Path) -> None:
    points, lost = _cut(_replayed(statements, base, tmp_path), base, tmp_path)
    assert points >= 8_000
    assert lost == 0


def test_a_power_cut_loses_acknowledged_work_without_full_syncs(
    statements: list[str], base: Path, tmp_path: Path
) -> None:
    """The test above can fail: with synchronous = NORMAL a commit is not on disk when it returns."""
    lazy = [statement.replace("synchronous = FULL", "synchronous = NORMAL") for statement in statements]
    events = _replayed(lazy, base, tmp_path)
    points, lost = _cut(events, base, tmp_path, every=64)
    assert 0 < lost < points
