"""`pns webhook …`: the application's end of webhooks. On the store itself, beside a running server."""

from __future__ import annotations

import asyncio

import typer

from pns.ops.commands.arguments import Config
from pns.ops.commands.loading import load

cli = typer.Typer(
    name="webhook",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Webhooks: what the application is told of its users.",
)


@cli.command()
def secret(config: Config = None) -> None:
    """Print the secret that signs webhooks, for the application to verify the signatures with."""
    from pns.ops.commands.webhook.trial import print_secret

    asyncio.run(print_secret(load(config), echo=typer.echo))


@cli.command("test")
def try_it(config: Config = None) -> None:
    """Send a signed example to webhook.url, and say what the application answered."""
    from pns.ops.commands.webhook.trial import try_out

    if not asyncio.run(try_out(load(config), echo=typer.echo)):
        raise typer.Exit(1)
