"""`python -m bench.field`: measures PNS and its peers in turns, and writes the second part of RESULTS.md."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench import report
from bench.__main__ import RESULTS, WIDTH
from bench.field.measure import ROWS, SHORT, Amount, measure
from bench.field.servers import KINDS, Peer
from bench.load.application import Application
from bench.machine import Machine, describe
from bench.server_process import GENERATOR_CORE

ROUNDS = 3
BUSY = 1.0
"""A load average at the begin from which a machine counts as shared."""


def main(
    only: Annotated[list[str] | None, typer.Option(help="Measure this peer alone. Repeatable.")] = None,
    short: Annotated[bool, typer.Option(help="Fewer connections and shorter turns.")] = False,
    rounds: Annotated[int, typer.Option(help="Rounds, of which the median counts.", min=1)] = ROUNDS,
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
) -> None:
    """Measure PNS beside its peers, each server on one core and the load on another."""
    kinds = only or [*KINDS]
    if unknown := set(kinds) - set(KINDS):
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(KINDS)}")
    os.sched_setaffinity(0, {GENERATOR_CORE})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    amount = SHORT if short else Amount()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        text = runner.run(run(kinds, amount, rounds))
    target = output or (None if only else RESULTS)
    if target is not None:
        report.write_peers(target, text)


async def run(kinds: Sequence[str], amount: Amount, rounds: int) -> str:
    """The part of RESULTS.md."""
    console = Console(width=WIDTH)
    found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        machine = describe(Path(place))
        async with Application() as application:
            for number in range(rounds):
                for kind in kinds:
                    folder = Path(place) / f"{kind}-{number}"
                    folder.mkdir()
                    os.chmod(place, 0o755)
                    async with Peer(kind, folder, application=application.url) as peer:
                        found[kind].append(await measure(peer, amount))
                    console.print(kind, *(f"{value:,.1f}" for value in found[kind][-1]))
    medians = {kind: [statistics.median(values) for values in zip(*all_, strict=True)]
               for kind, all_ in found.items()}  # fmt: skip
    text = part(medians, machine, amount, rounds)
    console.print(text)
    return text


def part(medians: Mapping[str, Sequence[float]], machine: Machine, amount: Amount, rounds: int) -> str:
    """What is written: the machine, what was done, and the one table."""
    shared = ["- other work ran on this machine: compare the columns, not the numbers"]
    lines = [
        report.PEERS,
        "Written by `make peers` (`python -m bench.field`). All servers of a line had the same core and the",
        f"same load on another core, in turns; the values are medians of {rounds} rounds. Each connection is",
        "logged in by the same call to the same application. PNS stores each notification before it answers;",
        "the others pass on what they are told and keep nothing. PNS tells a connection the newest count,",
        "and may pass over older ones; the others send each.",
        "",
        f"- {amount.strangers:,} fresh connections; {amount.listeners:,} users for the latency;"
        f" {amount.audience:,} connections of a user for the frames; {amount.idle:,} idle connections, each"
        " with a cookie of 1 KiB",
        *(f"- {line}" for line in machine.lines),
        *(shared if machine.load > BUSY else []),
        "",
        _row(["what", *(KINDS[kind].name for kind in medians)]),
        _row(["---"] * (1 + len(medians))),
        *(
            _row([row, *(_number(values[place]) for values in medians.values())])
            for place, row in enumerate(ROWS)
        ),
        "",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


if __name__ == "__main__":
    cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    cli.command()(main)
    cli()
