"""A real `pns serve` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from pns.testing.temporary import empty_store
from tests.harness.backend import Backend
from tests.harness.forkserver import Process, spawn
from tests.harness.freezing import Freezing

API_KEY = "test-key-0123456789abcdef"
SERVE = ("pns.ops.cli", "serve")


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS_OF_A_WORKER = 2_000
_FIRST_PORT = 10_000
_ports = count(random.randrange(_PORTS_OF_A_WORKER))


def free_port() -> int:
    """A loopback port that nobody listens on, and that no other process of the tests is given.

    The kernel gives out ports from 32,768 on, also to whoever calls somebody: of one of those a server that
    starts a moment later could find another there.
    """
    begin = _FIRST_PORT + _WORKER % 10 * _PORTS_OF_A_WORKER
    while True:
        port = begin + next(_ports) % _PORTS_OF_A_WORKER
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class ServerProcess(Freezing[Process]):
    """`pns serve` in `folder`; settings as `section__key=value`. Use as `async with`.

    The process is a fork of one that has imported PNS and is `program`, a module with its arguments; or the
    process is `command`. It may be killed and started again: port and store stay the same.
    """

    def __init__(
        self,
        folder: Path,
        *,
        auth_url: str,
        program: Sequence[str] = SERVE,
        command: list[str] | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ready_url = f"{self.url}/readyz"
        self.log = folder / "pns.log"
        self.store = folder / "pns.db"
        self._program = program
        self._command = command
        self._settings: dict[str, object] = {
            "auth__url": auth_url,
            "app__api_keys": API_KEY,
            "server__port": self.port,
            "server__drain_seconds": 0,
            "store__url": f"sqlite:///{self.store}",
            **settings,
        }

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the process: this one's, and the settings."""
        names = {f"PNS_{key.upper()}": str(value) for key, value in self._settings.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PNS_")}
        return clean | names | {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}

    async def start(self, *, ready_within: float = 30.0, status: int = 200) -> None:
        """Start the process and return when it is ready, or when `ready_url` answers another `status`.

        A new file has its schema already: to make it takes as long as all the rest.
        """
        own = self._settings.get("store__url") == f"sqlite:///{self.store}"
        if own and self.process is None:
            empty_store(self.store)
        self._spawn()
        assert self.process is not None
        deadline = time.monotonic() + ready_within
        while await self._answers() != status:
            if self.process.poll() is not None:
                raise AssertionError(f"pns serve ended with {self.process.returncode}:\n{self.output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"pns serve is not ready:\n{self.output}")
            await asyncio.sleep(0.02)

    async def _answers(self) -> int | None:
        """The status of an answer from `ready_url`; None without an answer. The question is asked often, and
        a client's would cost more than the server's start.
        """
        url = urlsplit(self.ready_url)
        try:
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            try:
                head = f"GET {url.path} HTTP/1.1\r\nhost: {url.netloc}\r\nconnection: close\r\n\r\n"
                writer.write(head.encode())
                async with asyncio.timeout(5):
                    answer = await reader.readline()
            finally:
                writer.close()
        except (OSError, TimeoutError):
            return None
        return int(answer.split()[1]) if answer else None

    async def refuses(self, *, within: float = 30.0) -> int:
        """Start a server that cannot run; returns its exit code."""
        self._spawn()
        assert self.process is not None
        try:
            return await asyncio.to_thread(self.process.wait, within)
        finally:
            self.process.kill()

    def _spawn(self) -> None:
        with self.log.open("ab") as log:
            if self._command is None:
                module, *words = self._program
                self.process = spawn(
                    words, cwd=self.folder, env=self.environment, output=log.fileno(), module=module
                )
            else:
                self.process = subprocess.Popen(
                    self._command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
                )

    async def stop(self, sig: signal.Signals = signal.SIGTERM, *, within: float = 30.0) -> int:
        """Send `sig` and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return await asyncio.to_thread(self.process.wait, within)

    async def kill(self) -> None:
        """kill -9."""
        await self.stop(signal.SIGKILL)

    def backend(self, key: str = API_KEY) -> Backend:
        """The application's side of this server. Use as `async with`."""
        return Backend(self.url, key)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            await self.kill()
