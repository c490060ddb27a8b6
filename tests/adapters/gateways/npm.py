"""Independent peers from npm, in the versions of the lock file beside this."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def install() -> None:
    """Have what the lock file says in node_modules; quick if it is there."""
    installed, lock = FOLDER / "node_modules" / ".package-lock.json", FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run(["npm", "ci", "--silent"], cwd=FOLDER, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


async def node(script: str, given: object) -> Any:
    """What `script` prints as JSON; it has `given`."""
    install()
    source = f"const given = {json.dumps(given)};\n{script}"
    process = await asyncio.create_subprocess_exec(
        *("node", "--eval", source),
        cwd=FOLDER,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


@asynccontextmanager
async def server(script: str) -> AsyncIterator[str]:
    """A Node process that runs `script`, and the line that it prints once it is ready."""
    install()
    process = await asyncio.create_subprocess_exec(
        *("node", "--eval", script),
        cwd=FOLDER,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout
        async with asyncio.timeout(30):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()
