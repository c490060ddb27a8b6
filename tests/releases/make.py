"""`python -m tests.releases.make [folder]` makes the archives anew, from the history of this repository."""

from __future__ import annotations

import sys
import tarfile
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

from tests.harness.release import ROOT, run

from .past import HERE, RELEASES, Release


def build(release: Release, folder: Path) -> Path:
    """The wheel of `release`, in `folder`. Raises AssertionError if its commit is not in the history."""
    source = folder / "source"
    source.mkdir()
    run(["git", "archive", "--output", str(folder / "source.tar"), release.commit], ROOT)
    with tarfile.open(folder / "source.tar") as archive:
        archive.extractall(source, filter="data")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    run([*command, str(source)], folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def files(wheel: Path) -> dict[str, bytes]:
    """What `wheel` holds of the package itself, by name."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("pns/"))
        return {name: archive.read(name) for name in names}


def pack(contents: dict[str, bytes], target: Path) -> None:
    """Write an archive that is the same for the same contents."""
    with tarfile.open(target, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))


def make(release: Release, folder: Path) -> Path:
    """The archive of `release`, in `folder`."""
    target = folder / release.archive.name
    with tempfile.TemporaryDirectory() as place:
        pack(files(build(release, Path(place))), target)
    return target


if __name__ == "__main__":
    for release in RELEASES:
        print(make(release, Path(sys.argv[1]) if sys.argv[1:] else HERE))
