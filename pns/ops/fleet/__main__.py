"""`python -m pns.ops.fleet [PORT]`: the program behind `make fleet`. Exit codes: 0 done, 1 failed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pns.errors import PNSError
from pns.ops.fleet import run


def fleet(port: Annotated[int, typer.Argument(help="nginx's port; 0 takes any free one.")] = 8000) -> None:
    """Run three nodes on PostgreSQL and Redis behind nginx, with the demo in front. Ends with Ctrl-C."""
    try:
        raise typer.Exit(run(port=port, echo=typer.echo))
    except PNSError as error:
        typer.echo(f"pns: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(fleet)
