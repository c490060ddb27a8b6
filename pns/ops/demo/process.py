"""`pns serve` as a process beside the demo application: started before the application, ended after it.

The process itself is pns.ops.demo.child. Its standard input is a pipe, held by this side alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2 as httpx

from pns.errors import PNSError
from pns.ops.serve.server import listen

HOST = "127.0.0.1"
PUSH_SUBJECT = "mailto:demo@example.com"
"""Whom a push service may write to about the demo: nobody."""
START_SECONDS = 30.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02


class PNSProcess:
    """PNS on a port of its own, its store in `folder`. Use as `async with`: ready on entry, gone on exit.

    Raises PNSError on entry when PNS does not become ready.
    """

    def __init__(
        self,
        folder: Path,
        *,
        application_port: int,
        port: int,
        key: str,
        config: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """PNS listens on `port`, which the caller reserves. `settings`, such as `STORE__URL`, win over other
        settings.
        """
        self.port = port
        self.url = f"http://{HOST}:{self.port}"
        self._folder = folder
        self._settings = {
            "SERVER__PORT": str(self.port),
            "SERVER__ALLOWED_ORIGINS": f"http://{HOST}:{application_port},http://localhost:{application_port}",
            "SERVER__DRAIN_SECONDS": "0",
            "AUTH__URL": f"http://{HOST}:{application_port}/pns-auth",
            "APP__API_KEYS": key,
            "STORE__URL": f"sqlite:///{folder / 'pns.db'}",
            "LOG__LEVEL": "warning",
            "PUSH__WEBPUSH__SUBJECT": PUSH_SUBJECT,
            **(settings or {}),
        }
        if config is not None:
            self._settings["CONFIG"] = str(config.absolute())
        self._process: Process | None = None
        self._restart = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    @property
    def running(self) -> bool:
        """Whether the process runs now."""
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """End the process by kill -9. The process may be started again."""
        async with self._restart:
            if self._process is not None and self.running:
                self._process.kill()
                await self._process.wait()

    async def restart(self, *, away_seconds: float = 0.0) -> None:
        """End the process, start a new process after `away_seconds`, and return when PNS is ready.

        Raises PNSError when PNS does not become ready. Two concurrent restarts run one after the other.
        """
        async with self._restart:
            await self._stop()
            await asyncio.sleep(away_seconds)
            await self._start()

    async def _start(self) -> None:
        # A session of its own: Ctrl-C in the terminal is for the parent. The parent ends this process last.
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pns.ops.demo.child"),
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            await self._ready()
        except BaseException:
            await self._stop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def ended(self, tell: Callable[[], object]) -> None:
        """Wait until the process has ended otherwise than by `restart`, then call `tell`."""
        while True:
            assert self._process is not None
            await self._process.wait()
            if not self._restart.locked():
                break
            async with self._restart:
                pass  # PNS is back, or has ended for good
        tell()

    def check(self) -> None:
        """Raises PNSError if the process has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise PNSError(f"PNS ended by itself, with exit code {self._process.returncode}")

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PNS_")}
        return inherited | {f"PNS_{name}": value for name, value in self._settings.items()}

    async def _ready(self) -> None:
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while True:
                self.check()
                with suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/readyz")).is_success:
                        return
                await asyncio.sleep(POLL_SECONDS)

    async def _stop(self) -> None:
        await end(self._process, within=STOP_SECONDS)


async def end(process: Process | None, *, sig: signal.Signals = signal.SIGTERM, within: float) -> None:
    """Send `sig`, and SIGKILL after `within` seconds; return when the process has ended."""
    if process is None or process.returncode is not None:
        return
    process.send_signal(sig)
    try:
        async with asyncio.timeout(within):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def reserve(*ports: int) -> socket.socket:
    """A socket bound to the first free port of `ports` (0: any port is).

    While the socket is open, other programs cannot take the port. A server that is told of the port may
    listen there as often as it likes, if it sets SO_REUSEADDR, as all do. Raises PNSError.
    """
    for port in ports:
        with suppress(OSError, OverflowError):
            return listen(HOST, port)
    raise PNSError("this machine has no free port left")


def port_of(reserved: socket.socket) -> int:
    """The port of `reserved`."""
    return int(reserved.getsockname()[1])
