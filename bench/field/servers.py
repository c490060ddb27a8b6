"""The peers as processes on the server's core: how each is started, asked and told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import psutil

from bench.load.http import notify
from bench.server_process import SERVER_CORE, Server, on_cores
from tests.deploy.fronts import nginx_command
from tests.harness.server import free_port

HERE = Path(__file__).parent
NCHAN = Path(os.environ.get("NCHAN_MODULE", "/usr/lib/nginx/modules/ngx_nchan_module.so"))
_START_SECONDS = 30.0
_NGINX = """
server {{
    listen 127.0.0.1:{port} backlog=4096;
    access_log off;
    keepalive_requests 1000000000;
    location = /tell {{
        nchan_publisher;
        nchan_channel_id $arg_user;
        nchan_message_buffer_length 1;
    }}
    location = /subscribe {{
        nchan_subscriber websocket;
        nchan_channel_id $cookie_user;
        nchan_subscriber_first_message newest;
        nchan_authorize_request /login;
    }}
    location = /login {{
        internal;
        proxy_pass http://application/login;
        proxy_method POST;
        proxy_http_version 1.1;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header Connection "";
        proxy_set_header Upgrade "";
    }}
}}
upstream application {{ server {application}; keepalive 64; }}
"""


class Kind(NamedTuple):
    """A peer. `greets`: whether a text frame follows the handshake. `talks`: a conversation of socket.io."""

    name: str
    greets: bool = True
    talks: bool = False


KINDS: Mapping[str, Kind] = {
    "pns": Kind("PNS, durable"),
    "ws": Kind("Node ws"),
    "socketio": Kind("Node socket.io", talks=True),
    "python-socketio": Kind("python-socketio", talks=True),
    "channels": Kind("Django Channels"),
    "nchan": Kind("nginx with nchan", greets=False),
}


class Peer:
    """One server while it runs. Use as `async with`."""

    def __init__(self, kind: str, folder: Path, *, application: str) -> None:
        self.kind = kind
        self.busy: list[float] = []
        self.generator_busy: list[float] = []
        self._folder = folder
        self._application = application
        self._own: Server | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    async def __aenter__(self) -> Self:
        if self.kind == "pns":
            self._own = await Server("pns", self._folder, auth_url=self._application).__aenter__()
            self.port = self._own.port
            return self
        self._process = self._spawn()
        await self._listens()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is not None:
            await self._own.__aexit__(kind, error, trace)
        elif self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.wait)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with on_cores([SERVER_CORE]), (self._folder / f"{self.kind}.log").open("ab") as log:
            return subprocess.Popen(
                self._command(), stdout=log, stderr=log, cwd=HERE.parents[1], start_new_session=True
            )

    def _command(self) -> Sequence[str]:
        rest = [str(self.port), self._application]
        if self.kind in ("ws", "socketio"):
            return ["node", str(HERE / f"{self.kind}.mjs"), *rest]
        if self.kind == "nchan":
            return self._nginx()
        module = self.kind.replace("-", "_") if self.kind != "channels" else "channels_server"
        return [sys.executable, "-m", f"bench.field.{module}", *rest]

    def _nginx(self) -> Sequence[str]:
        folder = self._folder / f"nginx-{self.port}"
        folder.mkdir()
        folder.chmod(0o755)
        application = urlsplit(self._application).netloc
        command = nginx_command(folder, _NGINX.format(port=self.port, application=application))
        configured = folder / "nginx.conf"
        text = configured.read_text().replace("events {}", "events { worker_connections 30000; }")
        configured.write_text(f"load_module {NCHAN};\nworker_rlimit_nofile 40000;\n{text}")
        return command

    async def _listens(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(_START_SECONDS):
            while True:
                if self._process.poll() is not None:
                    raise RuntimeError(
                        f"{self.kind} ended: {(self._folder / f'{self.kind}.log').read_text()}"
                    )
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return

    def tell(self, user: str) -> bytes:
        """The request that sends something to a user's connections. Answered by 201, or 202."""
        if self.kind == "pns":
            return notify(user, "x")
        return (
            f"POST /tell?user={user} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
            f"Content-Length: 1\r\n\r\nx"
        ).encode()

    @property
    def handshake_path(self) -> str:
        return "/socket.io/?EIO=4&transport=websocket" if KINDS[self.kind].talks else "/subscribe"

    def cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def resident_bytes(self) -> int:
        return sum(int(process.memory_info().rss) for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        pid = self._own.pid if self._own is not None else self._process.pid if self._process else 0
        whole = psutil.Process(pid)
        return [whole, *whole.children(recursive=True)]
