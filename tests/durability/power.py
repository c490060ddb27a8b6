"""A power cut, as a disk makes it: what was written since a file's last sync is there, or not, or in part.

`record` takes down every statement that the store's writer runs; `replay` runs them again on a recording disk
(a VFS of apsw's own SQLite, whose PRAGMAs and syncs mean what they mean in the store's); `images` cuts the
power at a point of that recording and yields what the files could hold afterwards.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import compress, cycle
from pathlib import Path

import apsw

SECTOR = 512
"""A disk writes sectors whole."""

Rows = tuple[tuple[object, ...], ...]
CONTENT = """
SELECT 'user', user_key, user_id, last_seq, unseen, version FROM users
UNION ALL SELECT 'notification', user_key, seq, notification_id, seen_date, length(data) FROM notifications
UNION ALL SELECT 'revocation', revocation, user_id, device_id, NULL, NULL FROM revocations
UNION ALL SELECT 'erased', user_key, NULL, NULL, NULL, NULL FROM erased
ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class Write:
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True)
class Sync:
    file: str


@dataclass(frozen=True)
class Acknowledged:
    """A COMMIT returned: `content` is promised from here on."""

    content: Rows


Event = Write | Truncate | Sync | Acknowledged


class _File(apsw.VFSFile):
    def __init__(self, vfs: str, name: str | apsw.URIFilename, flags: list[int], events: list[Event]) -> None:
        super().__init__(vfs, name, flags)
        self._name = Path(name if isinstance(name, str) else name.filename()).name
        self._events = events

    def xWrite(self, data: bytes, offset: int) -> None:
        self._events.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._events.append(Truncate(self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._events.append(Sync(self._name))


class _Disk(apsw.VFS):
    def __init__(self, events: list[Event]) -> None:
        self._events = events
        super().__init__("recording", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if name is None:
            return super().xOpen(name, flags)
        return _File("", name, flags, self._events)


def replay(statements: Sequence[str], path: Path) -> list[Event]:
    """Everything that reaches the disk when `statements` run on the database at `path`."""
    events: list[Event] = []
    disk = _Disk(events)
    try:
        with closing(apsw.Connection(str(path), vfs="recording")) as connection:
            # the store reads in other connections, this one is alone: the log's index may be in memory
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            connection.execute("PRAGMA wal_autocheckpoint = 50").fetchall()  # many checkpoints, small logs
            for statement in statements:
                connection.execute(statement).fetchall()
                if statement == "COMMIT":
                    events.append(Acknowledged(tuple(connection.execute(CONTENT))))
            cut = len(events)  # closing is no power cut
    finally:
        disk.unregister()
    return events[:cut]


@dataclass
class _Device:
    """One file: what is on disk for certain, and what was written since."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        self.synced = _applied(self.synced, self.pending)
        self.pending = []


def _applied(image: bytearray, changes: Sequence[Write | Truncate]) -> bytearray:
    result = bytearray(image)
    for change in changes:
        if isinstance(change, Truncate):
            del result[change.size :]
        else:
            result.extend(bytes(max(0, change.offset - len(result))))
            result[change.offset : change.offset + len(change.data)] = change.data
    return result


Image = tuple[Rows | None, dict[str, bytes]]


def images(events: Sequence[Event], base: bytes, name: str, *, every: int = 1) -> Iterator[Image]:
    """After every event: what was acknowledged last, and what the files may hold if the power goes now.

    Three ways at each point: nothing that was not synced got to the disk; all of it did; some of it did, in
    no order, its last write torn at a sector. With `every`, one in so many of these.
    """
    turns = cycle([True] + [False] * (every - 1))
    luck = random.Random(0)
    devices = {name: _Device(bytearray(base)), f"{name}-wal": _Device()}
    promised: Rows | None = None
    for event in events:
        if isinstance(event, Acknowledged):
            promised = event.content
        elif isinstance(event, Sync):
            devices[event.file].sync()
        else:
            devices[event.file].pending.append(event)
        for survivors in compress((_none, _all, _some), turns):
            yield (
                promised,
                {
                    file: bytes(_applied(device.synced, survivors(device.pending, luck)))
                    for file, device in devices.items()
                },
            )


def _none(pending: list[Write | Truncate], luck: random.Random) -> list[Write | Truncate]:
    return []


def _all(pending: list[Write | Truncate], luck: random.Random) -> list[Write | Truncate]:
    return pending


def _some(pending: list[Write | Truncate], luck: random.Random) -> list[Write | Truncate]:
    survivors = [change for change in pending if luck.random() < 0.5]
    if survivors and isinstance(last := survivors[-1], Write):
        sectors = luck.randint(0, len(last.data) // SECTOR)
        survivors[-1] = Write(last.file, last.offset, last.data[: sectors * SECTOR])
    return survivors


def content(path: Path) -> Rows:
    """What the database at `path` holds after it recovered. Raises when it is not whole."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return tuple(connection.execute(CONTENT))
