"""`pns webpush …`: the preparation for Web Push."""

from __future__ import annotations

import typer

from pns.ops.commands.arguments import Config
from pns.ops.commands.loading import load

cli = typer.Typer(
    name="webpush",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Web Push, to browsers that are closed.",
)


@cli.callback()
def webpush() -> None:
    """Without this function, typer would make the only command the group itself."""


@cli.command()
def keygen(config: Config = None) -> None:
    """Print a new VAPID key, and the setting for the key. A new key makes browsers subscribe anew."""
    from pns.compose import new_webpush_key

    if config is not None:
        load(config)
    key = new_webpush_key()
    typer.echo(key.private)
    places = f"push.webpush.private_key in {config or 'config.toml'}, or PNS_PUSH__WEBPUSH__PRIVATE_KEY"
    typer.echo(f"Put it into {places}, and keep it secret. Set push.webpush.subject too.", err=True)
    typer.echo(f"Its public key, which GET /devices/networks tells to pages: {key.public}", err=True)
