"""Open files, and whether their paths still lead to them. Never opens a file for reading or writing.

Closing a usual descriptor of a SQLite file would drop SQLite's own locks on the file; an O_PATH descriptor
holds no locks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

_O_PATH = getattr(os, "O_PATH", 0)


class WatchedFiles:
    """The files at `paths` from now on. Raises OSError for a missing file.

    On some file systems a file's inode number changes while the file stays the same. A number of now is
    therefore compared with another number of now, where the system has O_PATH, and never with an old number.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(paths)
        self._then = tuple(map(os.stat, self._paths))
        self._descriptors: list[int] = []
        try:
            for path in self._paths if _O_PATH else ():
                self._descriptors.append(os.open(path, _O_PATH | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the files. Safe to call twice."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)

    def in_place(self) -> bool:
        """Whether each path leads to its file. Cheap; any thread may call before `close`."""
        try:
            return all(self._is_in_place(number) for number in range(len(self._paths)))
        except OSError:
            return False

    def _is_in_place(self, number: int) -> bool:
        here = os.stat(self._paths[number])
        if not self._descriptors:
            return os.path.samestat(here, self._then[number])
        descriptor = self._descriptors[number]
        return os.path.samestat(here, os.fstat(descriptor)) or self._leads_to(descriptor, number, here.st_dev)

    def _leads_to(self, descriptor: int, number: int, device: int) -> bool:
        """Whether the system itself calls the open file by its path: for numbers that change all the time."""
        link = ""
        with suppress(OSError):  # no /proc
            link = os.readlink(f"/proc/self/fd/{descriptor}")
        return link == os.path.realpath(self._paths[number]) and os.fstat(descriptor).st_dev == device
