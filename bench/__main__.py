"""`python -m bench`: runs the measurements, shows the one table and writes bench/RESULTS.md."""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from bench import report
from bench.load.application import Application
from bench.machine import describe
from bench.report import Figure
from bench.rows import (
    announcements,
    connect,
    expansion,
    fanout,
    fleet,
    gateways,
    growth,
    latency,
    marks,
    memory,
    notify,
    outgoing,
    pending,
    pushes,
    questions,
    releases,
)
from bench.run import Run
from bench.server_process import GENERATOR_CORE

WIDTH = 240
"""Of the table where there is no terminal to fit."""
RESULTS = Path(__file__).with_name("RESULTS.md")
ROWS = {
    "notify": notify.measure,
    "fanout": fanout.measure,
    "memory": memory.measure,
    "connect": connect.measure,
    "questions": questions.measure,
    "latency": latency.measure,
    "outgoing": outgoing.measure,
    "growth": growth.measure,
    "expansion": expansion.measure,
    "announcements": announcements.measure,
    "marks": marks.measure,
    "pending": pending.measure,
    "fleet": fleet.measure,
    "gateways": gateways.measure,
    "pushes": pushes.measure,
    "releases": releases.measure,
}
Name = Enum("Name", {name: name for name in ROWS}, type=str)  # type: ignore[misc]  # what typer makes choices of


def main(
    only: Annotated[list[Name] | None, typer.Option(help="Measure this alone. Repeatable.")] = None,
    quick: Annotated[bool, typer.Option(help="Do little of everything: does it work?")] = False,
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
) -> None:
    """Measure PNS, with the server on one core and the load on another. The databases go to TMPDIR."""
    os.sched_setaffinity(0, {GENERATOR_CORE})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    names = [name.value for name in only or Name]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(names, quick=quick, output=output or (None if only or quick else RESULTS)))


async def run(names: list[str], *, quick: bool, output: Path | None) -> None:
    """Measure `names`; a run that is not whole is written only where `output` says so."""
    figures: list[Figure] = []
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        machine = describe(Path(folder))
        async with Application() as application:
            with Progress(console=console, transient=True) as progress:
                measured = Run(Path(folder), application, machine, progress, quick)
                for name in names:
                    figures += await ROWS[name](measured)
    console.print(*machine.lines, sep="\n")
    console.print(report.table(figures))
    if output is not None:
        report.write(output, figures, machine, quick=quick)


if __name__ == "__main__":
    cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    cli.command()(main)
    cli()
