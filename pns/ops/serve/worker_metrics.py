"""The metrics of all workers of `pns serve --workers N`: a scrape reaches a single worker and reads all.

Each worker answers on a Unix socket of its own with its metrics. The worker that is scraped asks all workers.
The label `worker` tells their samples apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_SECONDS = 1.0


class Siblings:
    """A worker, and the other workers with sockets in `folder`. Use as `async with`."""

    def __init__(self, folder: Path, number: int, text: Callable[[], bytes]) -> None:
        """`text` is this worker's own exposition, in Prometheus' text format."""
        self._folder = folder
        self._path = folder / str(number)
        self._text = text
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._path.unlink(missing_ok=True)  # of the worker that this one replaces
        server = await asyncio.start_unix_server(self._answer, self._path)
        await self._stack.enter_async_context(server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)
        await self._stack.aclose()

    async def text(self) -> bytes:
        """The exposition of all workers, without the workers that do not answer within a second."""
        paths = sorted(self._folder.iterdir(), key=lambda path: int(path.name))
        answers = await asyncio.gather(*map(_ask, paths))
        return together({path.name: text for path, text in zip(paths, answers, strict=True) if text})

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._text())
        writer.close()


async def _ask(path: Path) -> str:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return (await reader.read()).decode()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


def together(texts: dict[str, str]) -> bytes:
    """A single exposition of several. Keys are the values of the label `worker`."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        for family, lines in _families(text):
            heads[family] = [line for line in lines if line.startswith("#")]
            samples.setdefault(family, []).extend(
                _labelled(line, worker) for line in lines if not line.startswith("#")
            )
    lines = [line for family, head in heads.items() for line in (*head, *samples[family])]
    return "".join(f"{line}\n" for line in lines).encode()


def _families(text: str) -> Iterable[tuple[str, list[str]]]:
    """Each metric's lines: its HELP, its TYPE, its samples."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            found.append((line.split(" ", 3)[2], []))
        found[-1][1].append(line)
    return found


def _labelled(sample: str, worker: str) -> str:
    label = f'worker="{worker}"'
    name, brace, rest = sample.partition("{")
    if brace:
        return f"{name}{{{label},{rest}"
    name, _, value = sample.partition(" ")
    return f"{name}{{{label}}} {value}"
