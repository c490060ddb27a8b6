"""A broker in a process of its own: what Redis and NATS have in common."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.harness.freezing import Freezing
from tests.harness.server import free_port


class Broker(Freezing[subprocess.Popen[bytes]]):
    """Use as `async with`, or `start` and `close`. May be stopped and started again on the same port."""

    scheme: ClassVar[str]
    greeting: ClassVar[tuple[bytes, bytes]]
    """What a client says first, and how a broker that is ready begins its answer."""

    def __init__(self, *options: str) -> None:
        """`options` go to the program's command line."""
        self._folder = tempfile.TemporaryDirectory(prefix=f"pns-{self.scheme}-")
        self._options = options
        self.port = free_port()
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self.log = Path(self._folder.name) / "log"

    def command(self, folder: str) -> list[str]:
        """The program and its options, to be run in `folder`."""
        raise NotImplementedError

    async def start(self, *, ready_within: float = 30.0) -> None:
        """Start the process and return when it answers."""
        self.process = self._spawn()
        deadline = time.monotonic() + ready_within
        while not await self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.process.args!r} is not ready:\n{self.log.read_text()}")
            await asyncio.sleep(0.02)

    async def stop(self, sig: signal.Signals = signal.SIGKILL, *, within: float = 30.0) -> None:
        """Send `sig` and return when the process has ended. A frozen one hears only SIGKILL."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(sig)
        await asyncio.to_thread(self.process.wait, within)

    async def close(self) -> None:
        """Stop it, whatever its state, and remove its folder."""
        if self.process is not None:
            await self.stop()
        self._folder.cleanup()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [*self.command(self._folder.name), *self._options]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=self._folder.name, stdout=log, stderr=log)

    async def _ready(self) -> bool:
        hello, answer = self.greeting
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(hello)
                    return (await reader.readline()).startswith(answer)
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
