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
        """Put its package into `folder`, which is returned, with the version that it reads of itself."""
        with tarfile.open(self.archive) as archive:
            archive.extractall(folder, filter="data")
        metadata = folder / f"pns-{self.name}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: pns\nVersion: {self.name}\n")
        return folder


RELEASED = Release("0.1.0", "06ba3bb", 1)
"""SQLite alone, no push, no topics."""
EARLIER = Release("0.3.0", "d5a27d0", 3)
"""Also PostgreSQL, fleets, push, topics, tickets. The schema is that of 0.2.0."""
LATEST = Release("0.4.0", "db5ae67", 4)
"""Also marks, counts by category, groups, preferences."""
RELEASES = (RELEASED, EARLIER, LATEST)


PRUNES_SOON = """
from runpy import run_module
import pns.node
pns.node.EXPIRE_SECONDS = pns.node.PRUNE_SECONDS = 0.1
run_module("pns.ops.cli", run_name="__main__", alter_sys=True)
"""
"""The release as it is, but for the time between two looks at what is old: a minute there."""


class PastServer(ServerProcess):
    """`pns serve` of the release whose package is in `package`, under this interpreter and its libraries."""

    def __init__(self, folder: Path, *, auth_url: str, package: Path, **settings: Any) -> None:
        # Named, so that nobody but the release itself makes the file.
        settings.setdefault("store__url", f"sqlite:///{folder / 'store.db'}")
        command = [sys.executable, "-c", PRUNES_SOON, "serve"]
        super().__init__(folder, auth_url=auth_url, command=command, **settings)
        self._package = package

    async def start(self, *, ready_within: float = 90.0, status: int = 200) -> None:
        """As every server; the first start compiles the release, and makes a schema."""
        await super().start(ready_within=ready_within, status=status)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PYTHONPATH": str(self._package)}
