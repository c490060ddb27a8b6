"""Debian's programs for as long as this process lives: found, started, asked whether they are ready, ended.

The programs run in a folder of their own. Where this process is root's, they run as nobody: PostgreSQL
refuses root. The programs end with this process in any case, `kill -9` included.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Self

from pns.errors import PNSError
from pns.ops.demo.process import end

PACKAGES = {
    "initdb": "postgresql",
    "postgres": "postgresql",
    "redis-server": "redis-server",
    "nginx": "nginx-light",
    "setpriv": "util-linux",
}
START_SECONDS = 30.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


class Program:
    """A running program. Use as `async with`: the program answers on 127.0.0.1:`port` on entry, and is gone
    on exit.

    Raises PNSError on entry, with the program's last words, when the program does not answer.
    """

    def __init__(self, folder: Path, *command: str, port: int, stop: signal.Signals = signal.SIGTERM) -> None:
        """`folder` comes from `make_folder`. `stop` is the signal that ends the program in order."""
        self._folder = folder
        self._command = command
        self._port = port
        self._stop = stop
        self._log = folder / f"{Path(command[0]).name}.log"
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_privileges(self._stop),
                find(self._command[0]),
                *self._command[1:],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            await self._ready()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _ready(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                if self._process.returncode is not None:
                    raise PNSError(f"{self._command[0]} ended by itself: {self._last_words()}")
                await asyncio.sleep(POLL_SECONDS)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        return True

    def _last_words(self) -> str:
        return (self._log.read_text("utf-8", "replace").strip().splitlines() or ["nothing was said"])[-1]

    async def _end(self) -> None:
        await end(self._process, sig=self._stop, within=STOP_SECONDS)


async def run(folder: Path, *command: str) -> None:
    """Run a program to its end. Raises PNSError, with the program's last words, when the program fails."""
    process = await asyncio.create_subprocess_exec(
        *_privileges(signal.SIGKILL),
        find(command[0]),
        *command[1:],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        raise PNSError(f"{command[0]} failed: {output.decode('utf-8', 'replace').strip()}")


def make_folder(parent: Path, name: str) -> Path:
    """A folder of the programs' own in `parent`. The programs may pass through `parent`."""
    folder = parent / name
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        parent.chmod(0o711)
        shutil.chown(folder, "nobody")
    return folder


def find(name: str) -> str:
    """The path of a program. Raises PNSError, with the name of Debian's package, for a missing program."""
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin", *sorted(glob("/usr/lib/postgresql/*/bin"))]
    path = shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        raise PNSError(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return path


def _privileges(stop: signal.Signals) -> list[str]:
    """The words before a command: the program runs as nobody, and gets the signal `stop` when this process
    ends.
    """
    user = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    return [find("setpriv"), *user, f"--pdeathsig={stop.name.removeprefix('SIG')}", "--"]
