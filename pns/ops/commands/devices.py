"""`pns devices …`: how each device is reached, and whether pushing works. On the store, beside a running
server.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from pns.errors import PNSError, SettingsError
from pns.model.device import Network, parse_user_id
from pns.ops.commands.arguments import Config, GatewayName, checked
from pns.ops.commands.loading import load

User = Annotated[
    str | None,
    typer.Option("--user", metavar="USER", help="Only this user's devices.", callback=checked(parse_user_id)),
]

cli = typer.Typer(
    name="devices",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Devices at push networks: list, show and try them, or move them to another gateway.",
)


@cli.command("list")
def list_devices(user: User = None, config: Config = None) -> None:
    """List devices, a line each; of tokens only the beginning, since a token lets anybody push."""
    from pns.ops.commands.push.devices import print_devices

    asyncio.run(print_devices(load(config), user_id=user, echo=typer.echo))


@cli.command()
def show(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's id, as listed.")],
    config: Config = None,
) -> None:
    """Show all that the store keeps of a device."""
    from pns.ops.commands.push.devices import print_device

    asyncio.run(print_device(load(config), device, echo=typer.echo))


@cli.command("test")
def try_devices(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help="Ids of devices, as listed.")
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="USER", help="All devices of this user.", callback=checked(parse_user_id)
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Send a test push straight through the gateway and print its outcome. Nothing is stored."""
    from pns.ops.commands.push.trial import try_out

    if bool(devices) == bool(user):
        raise SettingsError("name devices, or a user with --user; `pns devices list` shows both")
    if not asyncio.run(try_out(load(config), devices or [], user_id=user, echo=typer.echo)):
        raise typer.Exit(1)


@cli.command()
def regateway(
    source: Annotated[
        GatewayName, typer.Option("--from", metavar="GATEWAY", help="The gateway that reaches them now.")
    ],
    target: Annotated[
        GatewayName,
        typer.Option("--to", metavar="GATEWAY", help="The one that shall. It must be set on every node."),
    ],
    network: Annotated[
        Network,
        typer.Option("--network", metavar="NETWORK", help="Whose devices: fcm, apns, webpush or mqtt."),
    ],
    *,
    config: Config = None,
) -> None:
    """Move devices and their waiting pushes to another gateway. Repeat for devices registered meanwhile."""
    from pns.ops.commands.push.regateway import run

    settings = load(config)
    try:
        typer.echo(run(settings, source=source, target=target, network=network))
    except KeyboardInterrupt:
        raise PNSError("stopped; the same command goes on from here") from None
