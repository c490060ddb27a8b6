"""The commands. A command is a few lines here; its work stands in the module that the command calls.

pns/ops/cli.py runs the tree. `pns/ops/overview.txt` is the help of the whole tree, as a text.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Annotated

import typer

from pns.errors import PNSError, SettingsError
from pns.model.role import Role
from pns.ops.commands import devices, webpush
from pns.ops.commands.arguments import URL, Config, Cookies, checked, header_line, utf8, visible
from pns.ops.commands.backup import backup, restore
from pns.ops.commands.forward import forward
from pns.ops.commands.loading import load, own_url
from pns.ops.commands.push import command as push
from pns.ops.commands.webhook import command as webhook
from pns.ops.serve.options import MOST_PORT, MOST_WORKERS, Options
from pns.settings import rules as constraint
from pns.settings import urls

cli = typer.Typer(
    name="pns",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="PNS: the notification inbox and live-push server for web applications.",
    epilog="Start with `pns demo`. Settings: config.toml, or the environment (PNS_SERVER__PORT=8080).",
)
for group in (devices.cli, push.cli, webpush.cli, webhook.cli):
    cli.add_typer(group)
for one in (forward, backup, restore):
    cli.command()(one)


@cli.command()
def serve(
    config: Config = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Listen here instead of server.host.",
            callback=checked(constraint.bind_host),
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Listen here instead of server.port.", min=1, max=MOST_PORT),
    ] = None,
    *,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Processes that serve, for as many cores. Needs PostgreSQL and a bus. Default: 1.",
            min=1,
            max=MOST_WORKERS,
            show_default=False,
        ),
    ] = 1,
    role: Annotated[
        Role,
        typer.Option(
            metavar="ROLE",
            help="web: connections and calls; push: sending to push networks; all: both. Default: all.",
            show_default=False,
        ),
    ] = "all",
) -> None:
    """Run the server. SIGTERM or Ctrl-C drains the server: connections move on, requests are answered."""
    raise typer.Exit(Options(config, host, port, workers, role).run())


@cli.command()
def migrate(config: Config = None) -> None:
    """Bring the store's schema up to date, and do nothing else. `pns serve` does the same at its start."""
    from pns.ops.serve.run import migrate as migrate_store

    typer.echo(migrate_store(load(config)))


@cli.command()
def copy(
    target: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URL",
            help="The store to copy into, empty or with a copy that was begun: sqlite:///… or postgresql://…",
            callback=checked(urls.store_url),
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="The store to copy. Default: store.url.",
            callback=checked(urls.store_url),
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Copy a store into another, SQLite or PostgreSQL. Stop PNS first. Repeat an interrupted copy."""
    from pns.ops.commands.copy import run

    settings = load(config)
    try:
        run(source or settings.store.url, target)
    except KeyboardInterrupt:
        raise PNSError("stopped; the same command goes on from here") from None


@cli.command()
def notify(
    user: Annotated[
        str,
        typer.Argument(
            metavar="USER", help="The user's id, as the application names them.", callback=checked(utf8)
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help='Text, or JSON such as \'{"title":"Order shipped"}\'.',
            callback=checked(utf8),
        ),
    ],
    url: URL = "",
    *,
    key: Annotated[
        str,
        typer.Option(
            metavar="KEY", help="An API key. Default: the first of app.api_keys.", callback=checked(visible)
        ),
    ] = "",
    config: Config = None,
) -> None:
    """Send a notification through a running server; prints its id."""
    from pns.ops.commands.client import send_notification

    settings = load(config)
    key = key or next(iter(settings.app.api_keys), "")
    if not key:
        raise SettingsError(
            "there is no API key: give --key, or set app.api_keys (make one with `pns keygen`)"
        )
    typer.echo(asyncio.run(send_notification(url or own_url(settings), key=key, user_id=user, data=data)))


@cli.command()
def listen(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Where PNS is, such as https://app.example/pns. Default: from the settings.",
            callback=checked(constraint.web_url),
        ),
    ] = "",
    cookie: Cookies = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME: VALUE'",
            help="A header. Repeatable.",
            callback=checked(header_line),
        ),
    ] = None,
    *,
    config: Config = None,
) -> None:
    """Connect as a device and print its messages, a message a line. Ends with Ctrl-C."""
    from pns.ops.commands.client import listen as listen_to

    address = url or own_url(load(config))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(listen_to(address, cookies=cookie or [], headers=header or [], echo=typer.echo))


@cli.command()
def keygen(config: Config = None) -> None:
    """Print a new API key, and the setting for the key."""
    if config is not None:
        load(config)
    typer.echo(secrets.token_urlsafe(32))
    places = f"app.api_keys in {config or 'config.toml'}, or PNS_APP__API_KEYS"
    typer.echo(f"Put it into {places}, and give it to your application.", err=True)


@cli.command()
def demo(
    config: Config = None,
    embedded: Annotated[bool, typer.Option(help="Mount PNS inside the application.")] = False,
    port: Annotated[int, typer.Option(help="The application's port; 0 takes any free one.")] = 8000,
) -> None:
    """Run a demo application with two users, and PNS beside it. Ends with Ctrl-C."""
    from pns.ops.demo import run

    if config is not None:
        load(config)
    raise typer.Exit(run(embedded=embedded, port=port, echo=typer.echo, config=config))


@cli.command()
def doctor(
    config: Config = None,
    url: URL = "",
    cookie: Cookies = None,
    *,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME: VALUE'",
            help="A header of a logged-in user, where the login is no cookie. Repeatable.",
            callback=checked(header_line),
        ),
    ] = None,
    origin: Annotated[str, typer.Option(metavar="ORIGIN", help="The origin of the pages that use PNS.")] = "",
    token: Annotated[
        str,
        typer.Option(
            metavar="TOKEN",
            help="An access token of the application, where app.oauth2 is set.",
            callback=checked(visible),
        ),
    ] = "",
    database: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar="DATABASE_URL",
            help="The application's database, where `pns forward` takes notifications from.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Ask the running deployment the questions that a stuck operator has; each failure with its remedy."""
    from pns.ops.commands.doctor import examine

    settings = load(config)
    url, cookies, headers = url or own_url(settings), cookie or [], header or []
    report = examine(
        settings,
        url=url,
        cookies=cookies,
        origin=origin,
        headers=headers,
        token=token,
        database=database,
    )
    raise typer.Exit(asyncio.run(report))
