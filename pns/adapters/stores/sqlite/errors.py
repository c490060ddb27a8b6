"""What SQLite's errors mean to PNS: which end a batch, which end a connection, and a sentence for each.

The sentence that a client may see names no path; the one at the start, which an operator reads, does.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pns.adapters.stores.group_commit import Full
from pns.errors import StoreUnavailable

_SENTENCES = {
    sqlite3.SQLITE_FULL: "The store's disk is full. Free some space; PNS goes on by itself.",
    sqlite3.SQLITE_BUSY: "The store is locked by another program. PNS goes on when it lets go.",
    sqlite3.SQLITE_LOCKED: "The store is locked by another program. PNS goes on when it lets go.",
    sqlite3.SQLITE_PROTOCOL: "The store is locked by another program. PNS goes on when it lets go.",
    sqlite3.SQLITE_READONLY: "The store cannot be written. Let PNS write its file and directory.",
    sqlite3.SQLITE_IOERR: "The store's disk failed to read or write. Look at the system's log; PNS retries.",
    sqlite3.SQLITE_CANTOPEN: "The store's file cannot be opened. See that it is there and PNS may use it.",
    sqlite3.SQLITE_PERM: "The store's file cannot be opened. See that PNS may read and write it.",
    sqlite3.SQLITE_CORRUPT: "The store's file is damaged. Stop PNS and restore the file from a backup.",
    sqlite3.SQLITE_NOTADB: "The store's file is no SQLite database. Stop PNS and restore it from a backup.",
}
_LOST = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PROTOCOL,
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


ENGINE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""The engine's errors; the second for a damaged file, whose message is no text."""


class FileMoved(sqlite3.OperationalError):
    """The store's file was deleted or replaced while it was open."""

    sqlite_errorcode = sqlite3.SQLITE_CANTOPEN


class Stuck(sqlite3.OperationalError):
    """A transaction could not be rolled back: the connection is of no use any more."""

    sqlite_errorcode = sqlite3.SQLITE_IOERR


class Damaged(sqlite3.DatabaseError):
    """A row of the store's file holds what PNS never wrote."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def locked(error: BaseException) -> bool:
    """Whether another connection is in the way."""
    return _code(error) in _LOCKED


def lost(error: BaseException) -> bool:
    """Whether a new connection must replace this connection."""
    return _code(error) in _LOST


def concerns_all(error: BaseException) -> bool:
    """Whether the engine itself is away. Trying a part of the batch again is of no use then."""
    return _code(error) in _SENTENCES


def unavailable(error: BaseException | None, path: Path | None = None) -> StoreUnavailable:
    """The caller's error for `error`, with `path` for an operator."""
    if isinstance(error, FileMoved):
        sentence = "The store's file was deleted or replaced. Put it back, or stop PNS and restore a backup."
    else:
        sentence = _SENTENCES.get(_code(error), f"The store refused a statement ({error}).")
    kind = Full if _code(error) == sqlite3.SQLITE_FULL else StoreUnavailable
    return kind(f"{path}: {sentence}" if path else sentence)


def _code(error: BaseException | None) -> int:
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
