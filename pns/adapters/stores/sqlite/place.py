"""Where the store's file lies: whether a crash, a new container or another machine may lose what was stored.

SQLite keeps the newest commits beside the file, in -wal; -shm must be memory that all processes share.
"""

from __future__ import annotations

import os
from pathlib import Path

from pns.errors import SettingsError
from pns.runtime.mounts import Mount, mount_of, mounts

ROOM = 66_560
"""Less free room than this makes a probe worthwhile: the bytes of a large notification, and a little more."""

_SUFFIXES = ("", "-wal", "-shm")
_UNSURE = frozenset(
    (
        *("9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"),
        *("drvfs", "fakeowner", "fuse", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
    )
)
"""File systems of a network or of another machine's folder."""
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.lxcfs"})


def require_folder(path: Path, known: list[Mount] | None = None) -> None:
    """Raise SettingsError when the file at `path` is mounted without its folder: -wal would stay behind.

    `known`: the mounts of this process, by default those that the system tells of.
    """
    known = mounts() if known is None else known
    real = os.path.realpath(path)
    points = {mount.point for mount in known}
    if any(f"{real}{suffix}" in points for suffix in _SUFFIXES) or (not known and _elsewhere(real)):
        folder = os.path.dirname(real)
        raise SettingsError(
            f"store.url: the file {real} is mounted without its folder, so the newest notifications would"
            f" stay in {os.path.basename(real)}-wal, outside the mount, and be lost with the container. Mount"
            f" the folder {folder} instead, as in `-v /srv/pns:{folder}`"
        )


def doubt(path: Path, known: list[Mount] | None = None) -> str:
    """Why the file system may lose what it called stored, with the remedy; empty for a local disk."""
    mount = mount_of(os.path.realpath(path), mounts() if known is None else known)
    if mount is None or not _is_unsure(mount.kind):
        return ""
    return (
        f"{path} lies on the file system {mount.kind}, which may lose what it called stored and let two"
        " programs write at the same time. Let store.url name a file on a local disk, or PostgreSQL"
    )


def free_bytes(path: Path) -> int:
    """The free room on the disk of the file at `path`, as far as PNS may use it; 0 when nobody knows."""
    try:
        disk = os.statvfs(os.path.dirname(os.path.realpath(path)))
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


def _elsewhere(real: str) -> bool:
    """Whether the file's device is not its folder's. Told only where the system tells of no mounts: layers
    of a container have devices of their own.
    """
    try:
        return os.stat(real).st_dev != os.stat(os.path.dirname(real)).st_dev
    except OSError:
        return False


def _is_unsure(kind: str) -> bool:
    return kind in _UNSURE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE)
