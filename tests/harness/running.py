"""A program of somebody's, such as an application with PNS beside it, for as long as a test needs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx

from tests.harness import eventually


@asynccontextmanager
async def running(
    command: Sequence[str],
    folder: Path,
    url: str,
    *,
    environment: Mapping[str, str] | None = None,
    end: signal.Signals = signal.SIGTERM,
) -> AsyncIterator[Path]:
    """`command` in `folder`, from when `url` answers whatever; the file with all that it writes.

    At the end it and its children get the signal `end`.
    """
    log = folder / "application.log"
    process = _started(command, folder, log, os.environ | dict(environment or {}))

    async def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False) as client:
                await client.get(url)
                return True
        return False

    try:
        await eventually(answers, within=60)
        yield log
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, end)
        await asyncio.to_thread(process.wait, 30)


def _started(
    command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
