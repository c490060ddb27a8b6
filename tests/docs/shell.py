"""Shell snippets, run by bash against a real server, in a folder of their own.

Addresses and folders of the docs become those of the test. What the test has no right to do to a machine
(systemctl, chown) is a program that does nothing; `sqlite3` is Python's, so that none need be installed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.harness import ServerProcess
from tests.harness.server import API_KEY

from .hosts import BIN
from .pages import Snippet

_SQLITE = f"""#!{sys.executable}
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for row in connection.execute(sys.argv[2]):
    print(*row, sep="|")
connection.close()
"""
_NOTHING = "#!/bin/sh\nexit 0\n"


async def run(snippet: Snippet, server: ServerProcess) -> str:
    """What `snippet` prints. Raises AssertionError when any of its commands fails."""
    programs = _programs(server.folder / "bin")
    backups = server.folder / "backups"
    backups.mkdir(exist_ok=True)
    text = snippet.text
    for documented, real in {
        "http://127.0.0.1:8080": server.url,
        "/var/lib/pns": str(server.folder),
        "/var/backups": str(backups),
    }.items():
        text = text.replace(documented, real)
    process = await asyncio.create_subprocess_exec(
        *["bash", "-euo", "pipefail", "-c", text],
        cwd=server.folder,
        env=server.environment
        | {
            "PATH": f"{programs}:{BIN}:{server.environment['PATH']}",
            "PNS_KEY": API_KEY,
            "COOKIE": "user=42",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{snippet.place} ended with {process.returncode}:\n{output.decode()}"
    return output.decode()


def _programs(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in {"sqlite3": _SQLITE, "systemctl": _NOTHING, "chown": _NOTHING}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder
