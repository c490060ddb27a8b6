"""A folder whose files are in memory: a store there waits for no disk.

Nothing that a test proves needs a disk: a power cut is played back from what the store asked of its disk
(tests/durability), and what is synced is read from the system calls (tests/harness/syscalls.py).
"""

from __future__ import annotations

import os
import tempfile
from functools import cache

_SHARED = "/dev/shm"
_ROOM = 3 * 2**30
"""Bytes. A run of all tests needs most of that for its databases: four PostgreSQL servers of up to 250 MB."""


@cache
def memory() -> str | None:
    """The folder of a file system in memory; None where there is none that has room and runs programs.

    A container's often has 64 MiB, or is mounted `noexec`: the tests install releases.
    """
    try:
        found = os.statvfs(_SHARED)
    except OSError:
        return None
    fits = found.f_bavail * found.f_frsize >= _ROOM and not found.f_flag & os.ST_NOEXEC
    return _SHARED if fits and os.access(_SHARED, os.W_OK) else None


def keep_files_there() -> None:
    """From now on temporary files of this process, and of those that it starts, are in memory: unless the
    environment names another folder.
    """
    folder = memory()
    if folder is not None:
        os.environ.setdefault("TMPDIR", folder)
        tempfile.tempdir = None
