"""The releases that are kept here, and a real `pns serve` of each."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import ServerProcess

HERE = Path(__file__).parent


class Release(NamedTuple):
    """A release, or a state of the main line that was run as one."""

    name: str
    commit: str
    schema: int

    @property
    def archive(self) -> Path:
        return HERE / f"pns-{self.commit}.tar.xz"

    def unpack(self, folder: Path) -> Path:
        """Put its package into `folder`, which is returned."""
        with tarfile.open(self.archive) as archive:
            archive.extractall(folder, filter="data")
        return folder


RELEASED = Release("0.1.0", "06ba3bb", 1)
"""SQLite alone, no push, no topics."""
LATEST = Release("main", "2ea85c5", 2)
"""What the main line had before schema 3: also PostgreSQL, fleets, push, topics. Its version is 0.1.0 too."""
RELEASES = (RELEASED, LATEST)


class PastServer(ServerProcess):
    """`pns serve` of the release whose package is in `package`, under this interpreter and its libraries."""

    def __init__(self, folder: Path, *, auth_url: str, package: Path, **settings: Any) -> None:
        # Named, so that nobody but the release itself makes the file.
        settings.setdefault("store__url", f"sqlite:///{folder / 'store.db'}")
        command = [sys.executable, "-m", "pns.ops.cli", "serve"]
        super().__init__(folder, auth_url=auth_url, command=command, **settings)
        self._package = package

    async def start(self, *, ready_within: float = 90.0, status: int = 200) -> None:
        """As every server; the first start compiles the release, and makes a schema."""
        await super().start(ready_within=ready_within, status=status)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PYTHONPATH": str(self._package)}
