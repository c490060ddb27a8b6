"""nginx as the other end of HTTP/2, with its own GOAWAYs, bound on streams and look at certificates."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from tests.adapters.gateways.certificates import Authority
from tests.deploy.fronts import nginx_command
from tests.harness import eventually
from tests.harness.server import free_port

_SITE = """
log_format requests "$connection $http_apns_id $status";
server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    access_log {folder}/requests.log requests;
    {site}
}}
"""


class Request(NamedTuple):
    connection: str
    apns_id: str
    status: str


class Nginx:
    pid: int

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self._log = folder / "requests.log"

    def requests(self) -> list[Request]:
        return [Request(*line.split()) for line in self._log.read_text().splitlines()]


@asynccontextmanager
async def nginx(folder: Path, site: str) -> AsyncIterator[Nginx]:
    """nginx with `site` in its one server; `{ca}` in there is the file of the authority."""
    authority = Authority(folder)
    here = Nginx(folder, authority)
    text = _SITE.format(
        port=here.port,
        certificate=authority.issue("nginx"),
        folder=folder,
        site=site.replace("{ca}", str(authority.ca_file)),
    )
    log = folder / "nginx.log"
    process = _spawn(nginx_command(folder, text), log)
    here.pid = process.pid
    try:

        async def listens() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", here.port)
            except OSError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        await eventually(listens)
        yield here
    finally:
        # A killed nginx would not write the line of a request whose answer is out already.
        os.killpg(process.pid, signal.SIGTERM)
        await asyncio.to_thread(process.wait)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
