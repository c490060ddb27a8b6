"""A host application as its developer runs it: `uvicorn module:app`, or by another server, in its process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal

from tests.harness.server import ServerProcess

Server = Literal["uvicorn", "hypercorn", "daphne"]
_LISTEN: dict[str, Callable[[int], list[str]]] = {
    "uvicorn": lambda port: ["--port", str(port)],
    "hypercorn": lambda port: ["--bind", f"127.0.0.1:{port}"],
    "daphne": lambda port: ["--port", str(port)],
}


class HostProcess(ServerProcess):
    """`app`, such as "examples.starlette_app:app", at `site`, with PNS below it at `url`.

    It works in `folder`. Ready when its first page is. `options` are the server's. With `python`, the
    interpreter of another environment, it sees nothing of this checkout.
    """

    def __init__(
        self,
        folder: Path,
        app: str,
        *options: str,
        path: str = "/pns",
        python: Path | None = None,
        server: Server = "uvicorn",
    ) -> None:
        super().__init__(folder, auth_url="")
        self.site = self.url
        self.url = self.site + path
        self.ready_url = self.site + "/"
        self._settings = {}
        interpreter = [str(python), "-I"] if python else [sys.executable]
        self._command = [*interpreter, "-m", server, app, *_LISTEN[server](self.port), *options]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not kill: its workers would stay.
        await self.stop()
