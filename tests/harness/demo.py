"""A running `pns demo`, and a browser's way into it: a login by form, a cookie, an origin."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil

from tests.harness.device import Device
from tests.harness.forkserver import Process, spawn
from tests.harness.waiting import eventually


class Demo:
    """`pns demo` in a process of its own. `address` is the application's, as it was printed."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.folder = folder

    @classmethod
    def start(cls, folder: Path, *options: str) -> Demo:
        """Start it with its output in `folder`; it lays its temporary files there, too."""
        environment = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
        with (folder / "demo.log").open("wb") as output:
            process = spawn(["demo", *options], cwd=folder, env=environment, output=output.fileno())
        return cls(process, folder)

    @property
    def output(self) -> str:
        return (self.folder / "demo.log").read_text()

    @property
    def address(self) -> str:
        return self._printed(r"Open +(http://127\.0\.0\.1:\d+)")

    @property
    def pns(self) -> str:
        """Where PNS is, as it was printed."""
        return self._printed(r"curl (http://\S+)/notify")

    def _printed(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        assert found, self.output
        return found[1]

    @property
    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    async def ready(self) -> None:
        """Return when it says how to use it."""
        await eventually(lambda: "Ctrl-C ends" in self.output or self.process.poll() is not None, within=30)
        assert self.process.poll() is None, self.output

    async def end(self, sig: signal.Signals) -> int:
        """Send `sig` to it alone, and return the exit code."""
        self.process.send_signal(sig)
        return await asyncio.to_thread(self.process.wait, 30)

    def destroy(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Visitor:
    """A browser that is logged into the demo as one of its users; `http` keeps the cookies."""

    def __init__(self, demo: Demo, http: httpx.AsyncClient) -> None:
        self.http = http
        self._demo = demo

    @property
    def cookie(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar)

    @property
    def headers(self) -> dict[str, str]:
        """What the browser sends along when a page of the demo talks to PNS."""
        return {"cookie": self.cookie, "origin": self._demo.address}

    @classmethod
    @asynccontextmanager
    async def login(cls, demo: Demo, user: str) -> AsyncIterator[Visitor]:
        async with httpx.AsyncClient(base_url=demo.address, trust_env=False, timeout=30) as http:
            response = await http.post("/login", data={"user": user})
            assert response.status_code == 303, response.text
            yield cls(demo, http)

    async def notify(self, user: str, title: str, body: str = "") -> httpx.Response:
        """Fill in the form of the page, and send it."""
        return await self.http.post("/notify", data={"user": user, "title": title, "body": body})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Device]:
        """The page's connection."""
        async with Device.connect(self._demo.pns, headers=self.headers) as device:
            yield device


@contextmanager
def running_demo(*options: str) -> Iterator[Demo]:
    """A demo on any free port; await `ready` before use."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo.start(Path(folder), "--port", "0", *options)
        try:
            yield demo
        finally:
            demo.destroy()
