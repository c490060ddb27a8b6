"""The claim of a forwarder on SQLite: a lock on a file beside the application's database.

SQLite locks no rows, and its one write lock belongs to the application. A forwarder therefore holds the lock
of another, empty database, by SQLite's own means. The system frees the lock with the end of the process, also
after `kill -9`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

ENDING = "-pns-forwarder"


class Alone:
    """The right to forward from the SQLite file `path`. Of all forwarders, a single one has the right."""

    def __init__(self, path: str) -> None:
        # Resolved: two names of a file must not be two rights.
        self._path = f"{Path(path).resolve()}{ENDING}"
        self._held: sqlite3.Connection | None = None

    def take(self) -> bool:
        """Whether this forwarder has the right, from now on until `give_back`.

        Raises sqlite3.OperationalError for a folder in which no file can be made.
        """
        if self._held is not None:
            return True
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            with closing(connection):
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
            return False
        self._held = connection
        return True

    def give_back(self) -> None:
        """Let another forwarder have the right. Safe to call twice."""
        held, self._held = self._held, None
        if held is not None:
            held.close()
