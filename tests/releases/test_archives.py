"""The archives are what the history has."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.harness.release import ROOT

from .make import build, files
from .past import HERE, RELEASES, Release

MOST_BYTES = 400 * 1024


def test_they_are_small_and_all_named() -> None:
    assert {release.archive for release in RELEASES} == set(HERE.glob("*.tar.xz"))
    assert all(release.archive.stat().st_size < MOST_BYTES for release in RELEASES)


@pytest.mark.soak
@pytest.mark.parametrize("release", RELEASES, ids=[release.name for release in RELEASES])
def test_an_archive_is_made_from_the_history(release: Release, tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no history here")
    with tarfile.open(release.archive) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        contents = {name: member.read() for name, member in members.items() if member}
    assert contents == files(build(release, tmp_path))
