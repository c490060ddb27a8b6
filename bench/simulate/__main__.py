"""`python -m bench.simulate`: draws fleets of 1 to 1,000 nodes and shows what their bus carries."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bench.simulate import tables
from bench.simulate.draw import Draw
from bench.simulate.fleet import Fleet
from bench.simulate.limits import CHANNELS, LAYOUTS
from bench.simulate.tables import Table

WIDTH = 240
"""Of the tables where there is no terminal to fit."""
SEED = 1
NODES = (1, 10, 100, 1000)
CONNECTIONS_OF_NODE = 10_000
NOTIFIES_OF_NODE = 10.0
Name = Enum("Name", {layout.name: layout.name for layout in LAYOUTS}, type=str)  # type: ignore[misc]


def main(
    nodes: Annotated[
        list[int] | None, typer.Option(min=1, help="Repeatable. By default 1, 10, 100 and 1,000.")
    ] = None,
    connections: Annotated[
        int | None, typer.Option(min=1, help="Of all nodes. By default 10,000 for each.")
    ] = None,
    notifies: Annotated[
        float | None,
        typer.Option(min=0.001, help="A second, of all nodes. By default 10 for each."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same figures.")] = SEED,
    layout: Annotated[list[Name] | None, typer.Option(help="This alone. Repeatable.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="A page to write the tables to: between its marks, where it has them.")
    ] = None,
) -> None:
    """Simulate fleets of PNS: messages, reads, writes and questions a second, and what breaks first.

    Nothing is measured here. What parts can do is assumed, and the last table says on what grounds.
    """
    fleets = [standard(each) for each in nodes or NODES]
    fleets = [
        replace(fleet, connections=connections or fleet.connections, notifies=notifies or fleet.notifies)
        for fleet in fleets
    ]
    found = run(fleets, seed, layouts=[name.value for name in layout or Name])
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for table in found:
        console.print(table.shown)
    if output is not None:
        tables.write(output, found)


def standard(nodes: int) -> Fleet:
    """So many nodes, each with the same load."""
    return Fleet(nodes, nodes * CONNECTIONS_OF_NODE, nodes * NOTIFIES_OF_NODE)


def run(fleets: list[Fleet], seed: int, *, layouts: list[str]) -> list[Table]:
    """All tables. Of the numbers of channels, those of the two largest fleets are compared."""
    chosen = [layout for layout in LAYOUTS if layout.name in layouts]
    largest = fleets[-2:]
    steps = len(fleets) * (1 + len(chosen)) + len(largest) * len(CHANNELS)
    with Progress(transient=True) as progress:
        task = progress.add_task("drawing", total=steps)

        def done() -> None:
            progress.advance(task)

        draws = {}
        for fleet in fleets:
            draws[fleet] = Draw(fleet, seed)
            done()
        return [
            tables.work(fleets),
            tables.messages(draws, chosen, done),
            tables.channels({fleet: draws[fleet] for fleet in largest}, done),
            tables.ends(fleets[-1], chosen),
            tables.capacities(chosen),
        ]


if __name__ == "__main__":
    cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    cli.command()(main)
    cli()
