"""`pns push …`: the waiting pushes. On the store itself, beside a running server."""

from __future__ import annotations

import asyncio

import typer

from pns.ops.commands.arguments import Config
from pns.ops.commands.loading import load

cli = typer.Typer(
    name="push",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Pushes on their way to devices.",
)


@cli.callback()
def push() -> None:
    """Without this function, typer would make the only command the group itself."""


@cli.command()
def status(config: Config = None) -> None:
    """Show which gateways are set, how many pushes are in which state, when the next is due, and a reason."""
    from pns.ops.commands.push.status import print_status

    asyncio.run(print_status(load(config), echo=typer.echo))
