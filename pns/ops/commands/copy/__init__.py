"""`pns copy`: moves everything from a store into another, and compares the two at the end.

Rows are copied unchanged, in the order of their keys, in batches. The commit of a batch also writes the mark,
the place that the copy has reached. A killed copy therefore goes on at the mark, and doubles nothing. The
source is only read. Neither store may be in use, and the target must be empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from rich.console import Console

from pns.compose import make_archive
from pns.contracts.archive import TABLES, Archive, Key, Mark, Table
from pns.errors import PNSError, SettingsError
from pns.ops.commands.copy.comparison import compare, print_comparison
from pns.ops.commands.copy.progress import Progress, progress_on
from pns.runtime.clock import Clock, SystemClock


def run(source_url: str, target_url: str) -> None:
    """Copy, report the progress on standard error, and print the comparison.

    Raises SettingsError when source and target are the same store. Raises another PNSError when the copy
    cannot begin or go on, or when the two stores differ at the end.
    """
    source, target = make_archive(source_url), make_archive(target_url)
    if source.place == target.place:
        raise SettingsError(f"--from and --to are the same store, {source.place}: name two")
    asyncio.run(_run(source, target))


async def _run(source: Archive, target: Archive) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        for archive in (source, target):
            stack.push_async_callback(archive.close)
        with progress_on(Console(stderr=True)) as progress:
            await copy(source, target, clock=clock, progress=progress)
            lines = await compare(source, target, progress=progress)
        print_comparison(Console(), lines)
        await _refuse_use(source, target, clock=clock)
        if not all(line.equal for line in lines):
            raise PNSError(f"the stores differ: one of them was changed meanwhile. {_remedy(target)}")
        await target.end()


async def copy(source: Archive, target: Archive, *, clock: Clock, progress: Progress) -> None:
    """Open both stores and bring all rows of `source` into `target`. The mark stays for the comparison.

    Raises PNSError, and leaves the target as it was, when a store is in use or the target is not empty.
    """
    await source.open()
    await _refuse_use(source, clock=clock)
    await target.open(make=True)
    await _refuse_use(target, clock=clock)
    mark = await _begin(source, target)
    names = [table.name for table in TABLES]
    for table in TABLES[names.index(mark.table) :]:
        after = mark.after if table.name == mark.table else table.start
        progress.begin(table.name, total=await source.count(table), done=await target.count(table))
        async for count in _copy_rows(source, target, table, after=after):
            progress.advance(count)


async def _copy_rows(source: Archive, target: Archive, table: Table, *, after: Key) -> AsyncIterator[int]:
    """Copy the rows after `after`, and yield how many each time. The next are read while some are written."""
    rows = await source.read(table, after)
    while rows:
        after, count = table.place(rows[-1]), len(rows)
        written = target.write(table, rows, Mark(source.place, table.name, after))
        rows, _ = await asyncio.gather(source.read(table, after), written)
        yield count


async def _begin(source: Archive, target: Archive) -> Mark:
    """The mark to continue from: the target's mark, or a new mark."""
    part = await source.mark()
    if part is not None:
        raise PNSError(f"{source.place} holds a part of {part.source}: complete that copy first.")
    mark = await target.mark()
    if mark is None:
        if not await target.empty():
            raise PNSError(
                f"{target.place} is not empty, and copying would mix two stores. {_remedy(target)}"
            )
        mark = Mark(source.place, TABLES[0].name, TABLES[0].start)
        await target.begin(mark, await source.numbers(), await source.secrets())
    elif mark.source != source.place:
        raise PNSError(
            f"{target.place} holds a part of {mark.source}: go on with that as --from. {_remedy(target)}"
        )
    return mark


async def _refuse_use(*archives: Archive, clock: Clock) -> None:
    for archive in archives:
        if await archive.living(clock.now()):
            raise PNSError(
                f"{archive.place} is in use by a running PNS: stop it, then copy. After a crash, wait 30 s."
            )


def _remedy(target: Archive) -> str:
    return f"To begin anew, {target.emptying}."
