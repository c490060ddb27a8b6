"""A real Firefox without a window, in a profile of its own, whose push service is one of ours."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

PREFERENCES = {
    "alerts.useSystemBackend": False,  # where there is no desktop, what is shown would be gone at once
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": True,
    "dom.push.testing.allowInsecureServerURL": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "permissions.default.desktop-notification": 1,  # as if its user had said yes
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """Opens `page`; `push_server` is the WebSocket's address (autopush.py). Use as `async with`.

    `options` are of its command line.
    """

    def __init__(
        self, folder: Path, page: str, *, push_server: str = "", options: tuple[str, ...] = ()
    ) -> None:
        self._profile = folder / "firefox"
        self._page = page
        self._options = options
        self._preferences = [*PREFERENCES.items(), ("dom.push.serverURL", push_server)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return (self._profile / "output").read_text(errors="replace")

    async def __aenter__(self) -> Self:
        program = shutil.which("firefox-esr")
        assert program, "the tests of the browser need Firefox: make packages"
        self._profile.mkdir()
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in self._preferences)
        (self._profile / "user.js").write_text("\n".join(lines))
        self._process = self._start(program)
        return self

    def _start(self, program: str) -> subprocess.Popen[bytes]:
        with (self._profile / "output").open("wb") as output:
            return subprocess.Popen(
                [
                    program,
                    "--headless",
                    "--no-remote",
                    "--profile",
                    str(self._profile),
                    *self._options,
                    self._page,
                ],
                env=os.environ | {"HOME": str(self._profile)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait, 30)
