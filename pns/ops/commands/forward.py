"""`pns forward`: takes what applications have committed to their own database to PNS."""

from __future__ import annotations

from typing import Annotated

import typer

from pns.errors import SettingsError
from pns.ops.commands.arguments import URL, Config, checked, visible
from pns.ops.commands.loading import load, own_url

Database = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="DATABASE_URL",
        help="The application's database, such as postgresql://user:password@host/database, sqlite:///app.db "
        "or mysql://…; with its table pns_outgoing.",
        show_default=False,
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="KEY",
        help="An API key. Default: the first of app.api_keys.",
        callback=checked(visible),
    ),
]


def forward(database: Database = "", url: URL = "", key: Key = "", *, config: Config = None) -> None:
    """Take committed rows of the application's table pns_outgoing to PNS, until SIGTERM or Ctrl-C.

    The application inserts a row in its own transaction, with `pns.transactional` or in plain SQL. A row that
    PNS has stored is deleted. A row that PNS refuses stays, with the reason in its column problem.

    Several forwarders share the work. One alone keeps the order of each user's rows. docs/transactions.md
    has the table and examples.
    """
    settings = load(config)
    if not database:
        raise SettingsError("there is no database: give --database, or set DATABASE_URL")
    key = key or next(iter(settings.app.api_keys), "")
    if not key:
        raise SettingsError("there is no API key: give --key, or set app.api_keys")
    from pns.library.forwarding import forward as run

    run(database, url=url or own_url(settings), key=key, tell=lambda line: typer.echo(line, err=True))
