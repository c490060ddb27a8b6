"""Files that stay in place, and files that are deleted, moved or replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pns.runtime import watched_files
from pns.runtime.watched_files import WatchedFiles


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "pns.db"
    file.write_text("ours")
    return file


@pytest.fixture(params=["with O_PATH", "without"])
def watched(
    file: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WatchedFiles]:
    if request.param == "without":
        monkeypatch.setattr(watched_files, "_O_PATH", 0)
    watched = WatchedFiles([str(file)])
    yield watched
    watched.close()


def test_a_file_that_is_written_is_in_place(watched: WatchedFiles, file: Path) -> None:
    file.write_text("more")
    assert watched.in_place()


def test_a_deleted_file(watched: WatchedFiles, file: Path) -> None:
    file.unlink()
    assert not watched.in_place()


def test_a_replaced_file(watched: WatchedFiles, file: Path) -> None:
    other = file.with_name("other")
    other.write_text("theirs")
    other.rename(file)
    assert not watched.in_place()


def test_a_moved_file_with_another_in_its_place(watched: WatchedFiles, file: Path) -> None:
    file.rename(file.with_name("away"))
    file.write_text("theirs")
    assert not watched.in_place()
    file.with_name("away").rename(file)
    assert watched.in_place()


def test_a_folder_that_was_moved(watched: WatchedFiles, file: Path) -> None:
    moved = file.parent.rename(file.parent.with_name("moved"))
    assert not watched.in_place()
    moved.rename(file.parent)


def test_a_link_that_leads_elsewhere_now(file: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(file)
    other.write_text("theirs")
    watched = WatchedFiles([str(link)])
    assert watched.in_place()
    link.unlink()
    link.symlink_to(other)
    assert not watched.in_place()
    watched.close()


def test_a_missing_file_is_an_error_and_leaves_nothing_open(file: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        WatchedFiles([str(file), f"{file}-wal"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_numbers_that_change_all_the_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On some file systems every look finds another inode number."""
    watched = WatchedFiles([str(file)])
    numbers = iter(range(10**9, 10**9 + 10**6))
    look = os.stat

    def stat(path: str | int, **options: bool) -> os.stat_result:
        mode, _, *more = look(path, **options)
        return os.stat_result((mode, next(numbers), *more))

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "fstat", stat)
    assert watched.in_place()
    file.rename(file.with_name("away"))
    file.write_text("theirs")
    assert not watched.in_place()
    file.unlink()
    assert not watched.in_place()
    watched.close()
