"""The Backups contract: one moment of a store in one file, while PNS runs, and the way back.

Both functions block. Each leaves a whole result, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

Advance = Callable[[int, int], None]
"""Called after each step with the number of pages that are done, and of all pages."""


class Contents(NamedTuple):
    """The contents of a store, counted from the rows. `schema`: the number of the schema."""

    schema: int
    users: int
    notifications: int
    unseen: int


class Restored(NamedTuple):
    """A store that was put back. `before`: where the store before lies now, if there was one."""

    contents: Contents
    before: Path | None


class Backups(Protocol):
    """Backups of one store at the path `store`."""

    @property
    def store(self) -> Path: ...

    def take(self, target: Path, advance: Advance) -> Contents:
        """Write the store to `target`, check the copy, and return the contents. A failure leaves no `target`.

        The copy is one moment of the store; no write waits for the copy. Raises PNSError when `target`
        exists, the store is not there, or the copy is not good.
        """

    def restore(self, backup: Path) -> Restored:
        """Put a copy of `backup` in the place of the store. The store before is moved aside, never removed.

        Raises PNSError, with everything as before, when the backup is not good or a program has the store
        open.
        """
