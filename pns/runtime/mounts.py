"""Where a path lies: the mount points and file systems that Linux tells of. Other systems tell nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TOLD_BY_LINUX = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mount point with the name of its file system, such as ext4 or nfs4."""

    point: str
    kind: str


def mounts(told: Path = TOLD_BY_LINUX) -> list[Mount]:
    """All mounts of this process, later mounts after earlier ones; empty on another system than Linux."""
    try:
        return list(_read(told.read_bytes()))
    except OSError:
        return []


def mount_of(path: str, known: list[Mount]) -> Mount | None:
    """The mount of `known` that holds `path`, which is absolute and without links."""
    holding = [mount for mount in known if _holds(mount.point, path)]
    return max(reversed(holding), key=lambda mount: len(mount.point), default=None)


def _read(text: bytes) -> Iterator[Mount]:
    """See proc(5): the fifth field is the mount point, the first field after a lone - the file system."""
    for line in text.splitlines():
        before, _, after = line.partition(b" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) >= 5 and kinds:
            yield Mount(_path(fields[4]), kinds[0].decode(errors="replace"))


def _path(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field))


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
