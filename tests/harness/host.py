"""A host application as its developer runs it: `uvicorn module:app` in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

from tests.harness.server import ServerProcess


class HostProcess(ServerProcess):
    """`app`, such as "examples.starlette_app:app", at `site`, with PNS below it at `url`.

    It works in `folder`. Ready when its first page is. `options` are uvicorn's. With `python`, the
    interpreter of another environment, it sees nothing of this checkout.
    """

    def __init__(
        self, folder: Path, app: str, *options: str, path: str = "/pns", python: Path | None = None
    ) -> None:
        super().__init__(folder, auth_url="")
        self.site = self.url
        self.url = self.site + path
        self.ready_url = self.site + "/"
        self._settings = {}
        interpreter = [str(python), "-I"] if python else [sys.executable]
        self._command = [*interpreter, "-m", "uvicorn", app, "--port", str(self.port), *options]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not kill: its workers would stay.
        await self.stop()
