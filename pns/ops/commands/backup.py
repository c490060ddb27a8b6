"""`pns backup` and `pns restore`: a SQLite store in one more file, and the way back.

The work stands in pns/adapters/stores/backup.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pns.contracts.backups import Contents
from pns.ops.commands.arguments import Config
from pns.ops.commands.loading import load

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the backup.", show_default=False)]


def backup(file: File, config: Config = None) -> None:
    """Write the SQLite store to FILE while PNS runs, and check the copy. FILE must not exist.

    The copy is one moment of the store, and no notify waits. FILE holds the store's secrets: only the owner
    of FILE can read.
    """
    from rich.console import Console

    from pns.compose import make_backups
    from pns.ops.commands.copy.progress import progress_on

    backups = make_backups(load(config).store.url)
    done = 0
    with progress_on(Console(stderr=True)) as progress:

        def advance(pages: int, total: int) -> None:
            nonlocal done
            if not done:
                progress.begin("pages", total=total)
            progress.advance(pages - done)
            done = pages

        contents = backups.take(file, advance)
    typer.echo(f"{file}: {_told(contents)}; checked")


def restore(file: File, config: Config = None) -> None:
    """Put the backup FILE in the place of the SQLite store. Stop PNS first.

    The store before is moved aside. Notifications after the backup are not in FILE: docs/operations.md says
    what follows.
    """
    from pns.compose import make_backups

    backups = make_backups(load(config).store.url)
    restored = backups.restore(file)
    moved = f"; the store before is {restored.before}" if restored.before else ""
    typer.echo(f"{backups.store}: {_told(restored.contents)}{moved}")


def _told(contents: Contents) -> str:
    return (
        f"schema {contents.schema}, {contents.users:,} users, {contents.notifications:,} notifications, "
        f"{contents.unseen:,} unseen"
    )
