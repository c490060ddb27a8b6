"""Are two stores equal? Every row of both is read, and the counts on the devices are counted again.

The checksum covers the rows in the order of their keys, in the same form on either engine.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import NamedTuple

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Printed

from pns.contracts.archive import TABLES, Archive, Table
from pns.ops.commands.copy.progress import Progress

CHECKSUM_BYTES = 4
"""Of four thousand million pairs of different rows, a single pair has equal checksums."""


class Line(NamedTuple):
    """A printed line: something in both stores."""

    what: str
    source: str
    target: str

    @property
    def equal(self) -> bool:
        return self.source == self.target


async def compare(source: Archive, target: Archive, *, progress: Progress) -> list[Line]:
    """The contents of `source` and of `target`, line by line."""
    lines = []
    for table in TABLES:
        total = await source.count(table) + await target.count(table)
        progress.begin(f"compare {table.name}", total=total)
        sums = await asyncio.gather(*(_sum(archive, table, progress) for archive in (source, target)))
        lines.append(Line(table.name, *sums))
    beside = zip(await _rest(source), await _rest(target), strict=True)
    return lines + [Line(what, here, there) for (what, here), (_, there) in beside]


async def _sum(archive: Archive, table: Table, progress: Progress) -> str:
    """The number of rows, and their checksum."""
    checksum, count, after = blake2b(digest_size=CHECKSUM_BYTES), 0, table.start
    while rows := await archive.read(table, after):
        checksum.update(b"".join(map(msgspec.msgpack.encode, rows)))
        count, after = count + len(rows), table.place(rows[-1])
        progress.advance(len(rows))
    return f"{count:,} ({checksum.hexdigest()})"


async def _rest(archive: Archive) -> list[tuple[str, str]]:
    """The values beside the rows, and counts across several tables. Tells no secret."""
    counts, numbers = await archive.counts(), await archive.numbers()
    secrets = sorted((await archive.secrets()).items())
    checksum = blake2b(msgspec.msgpack.encode(secrets), digest_size=CHECKSUM_BYTES)
    return [
        ("unseen notifications", f"{counts.unseen:,}"),
        ("users counted wrong", f"{counts.miscounted:,}"),
        ("newest user's key", f"{numbers.user_key:,}"),
        ("newest revocation", f"{numbers.revocation:,}"),
        ("newest push's key", f"{numbers.push_key:,}"),
        ("newest announcement", f"{numbers.announcement:,}"),
        ("secrets", f"{len(secrets)} ({checksum.hexdigest()})"),
    ]


def print_comparison(console: Console, lines: list[Line]) -> None:
    """Print a table: name, source, target, and whether the two are equal."""
    printed = Printed("", "source", "target", "equal", box=SIMPLE)
    for line in lines:
        printed.add_row(*line, "yes" if line.equal else "NO")
    console.print(printed, highlight=False)
